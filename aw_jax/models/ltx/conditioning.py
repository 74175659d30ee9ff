"""Given frames in a sequence to be sampled: at its start, its end or anywhere.

A given latent z replaces the start's by `strength z + (1 - strength) start` and keeps
its noise level at 1 - strength until the sampler comes down to it. Where it goes:

    frame 0               onto the first latent frames, in place
    one image, frame k    extra tokens in front of the sequence, k frames later in time
    a clip, frame k = 8i  its first two latent frames as such extra tokens, since they
                          code the begin of a video; the others in place, from i + 2

(LTX-Video pipeline_ltx_video.py, `prepare_conditioning`.)
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, Key
from aw_jax.core.errors import UserError
from aw_jax.core.keys import named
from aw_jax.core.pytrees import pytree, static
from aw_jax.flow import path
from aw_jax.models.ltx.config import RopeTime
from aw_jax.models.ltx.patchify import tokens_from_latents
from aw_jax.models.ltx.positions import STRIDES, coordinates

_PREFIX = 2


@pytree
class Given:
    """An encoded image or clip, and where it belongs."""

    latents: Float[Array, "b f h w c"]
    frame: int = static(default=0)
    """Frame of the video (not of the latents) it begins at; -1 is the last."""
    strength: float = static(default=1.0)
    """1 keeps it as it is, less lets the sampler change it."""


@pytree
class Canvas:
    """What the sampler starts from: segments of tokens, each at its own level."""

    tokens: Float[Array, "b m c"]
    coords: Float[Array, "1 m 3"]
    strengths: Float[Array, " s"]
    """Of each segment; 0 where nothing is given."""
    segments: tuple[int, ...] = static()
    """Their token counts, m in total."""
    extra: int = static(default=0)
    """Leading tokens that are no part of the video."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """How latents become a video."""

    fps: float | int
    rope_time: RopeTime
    strides: tuple[int, int, int] = STRIDES

    def coordinates(
        self, latents: Float[Array, "b f h w c"], *, frame: int = 0
    ) -> Float[Array, "1 n 3"]:
        """Of tokens of a clip that begins at `frame` of the video."""
        frames, height, width = latents.shape[1:4]
        found = coordinates(
            frames,
            height,
            width,
            fps=self.fps,
            rope_time=self.rope_time,
            strides=self.strides,
        )
        return (found + jnp.array([frame / self.fps, 0, 0]))[None]


def canvas(
    start: Float[Array, "b f h w c"],
    given: Sequence[Given] = (),
    *,
    grid: Grid,
    key: Key[Array, ""] | None = None,
) -> Canvas:
    """The start (noise, or noised latents) with everything that is given put in.

    Args:
        start: latents at the first noise level.
        given: later ones win where they overlap in place.
        grid: frame rate and convention of the checkpoint.
        key: of the noise under extra tokens; needed if one has a strength below 1.

    Raises:
        UserError: something given does not fit the video, or lacks the key.
    """
    strengths = np.zeros(start.shape[1], np.float32)
    parts = []
    for index, item in enumerate(given):
        frame = _checked(item, start, grid)
        count = min(_PREFIX, item.latents.shape[1]) if frame else 0
        if count:
            mixed = _extra(item, count, key, index)
            parts.append((mixed, grid.coordinates(mixed, frame=frame), item.strength))
        first = frame // grid.strides[0] + count
        start = _in_place(start, item, first, count)
        strengths[first : first + item.latents.shape[1] - count] = item.strength
    return _joined(parts, start, strengths, grid)


def _in_place(start: Array, item: Given, first: int, skipped: int) -> Array:
    latents = item.latents[:, skipped:]
    place = (slice(None), slice(first, first + latents.shape[1]))
    level = jnp.float32(1 - item.strength)
    return start.at[place].set(path.interpolate(latents, start[place], level))


def _extra(item: Given, count: int, key: Array | None, index: int) -> Array:
    latents = item.latents[:, :count]
    if item.strength == 1:
        return latents
    if key is None:
        raise UserError(
            f"Given.strength at frame {item.frame} is {item.strength}: pass a key for "
            "its noise, or set it to 1."
        )
    noise = jax.random.normal(named(key, f"given.{index}"), latents.shape)
    return path.interpolate(latents, noise, jnp.float32(1 - item.strength))


def _joined(parts: list, start: Array, strengths: np.ndarray, grid: Grid) -> Canvas:
    """Extra tokens first, a segment each; then one segment for each latent frame."""
    tokens = [tokens_from_latents(latents) for latents, *_ in parts]
    counts = [x.shape[1] for x in tokens]
    frames, *rows = start.shape[1:4]
    area = int(np.prod(rows))
    segments = (*counts, *[area] * frames)
    levels = np.concatenate([[s for *_, s in parts], strengths]).astype(np.float32)
    if not levels.any():
        segments, levels = (area * frames,), levels[:1]
    coords = [coords for _, coords, _ in parts] + [grid.coordinates(start)]
    return Canvas(
        tokens=jnp.concatenate([*tokens, tokens_from_latents(start)], axis=1),
        coords=jnp.concatenate(coords, axis=1),
        strengths=jnp.asarray(levels),
        segments=segments,
        extra=sum(counts),
    )


def _checked(item: Given, start: Array, grid: Grid) -> int:
    """The frame it begins at, counted from the start of the video."""
    stride = grid.strides[0]
    total = stride * (start.shape[1] - 1) + 1
    length = stride * (item.latents.shape[1] - 1) + 1
    frame = item.frame + total if item.frame < 0 else item.frame
    if item.latents.shape[2:] != start.shape[2:]:
        raise UserError(
            f"Given.latents must be {start.shape[2:]} (h, w, c) as the video, got "
            f"{item.latents.shape[2:]}: resize it before encoding."
        )
    if not 0 <= frame <= total - length:
        raise UserError(
            f"Given.frame must leave room for {length} frames in a video of {total}, "
            f"got {item.frame}."
        )
    if length > 1 and frame % stride:
        raise UserError(
            f"Given.frame of a clip must be a multiple of {stride}, got {item.frame}."
        )
    if not 0 < item.strength <= 1:
        raise UserError(f"Given.strength must be in (0, 1], got {item.strength}.")
    return frame
