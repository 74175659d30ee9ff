"""A broken clip: edits of the splat, frame by frame, and settings of its render.

Every edit is a pure function

    edit(draft, subject, frame, severity, key) -> draft

that leaves the draft as it is at severity 0, so one program makes every combination of
types: absent ones have severity 0. Aliasing is no edit but a way to render (`Shot`);
each shot has a program of its own, which renders what the other one has made.

Masks: where only edits were made, the weight of edited Gaussians in each pixel, as they
are or as they were, whichever is more: a hole is where matter was. Else where
|broken - clean| > 4/255 after a 3 x 3 mean.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, Int, Key, UInt8
from aw_jax.core.errors import UserError
from aw_jax.core.keys import named
from aw_jax.core.pytrees import pytree, replace, static
from aw_jax.dataengine.artifacts import (
    aliasing,
    blurring,
    color_outliers,
    cracks,
    dilation,
    floaters,
    ghosting,
    needles,
    popping,
)
from aw_jax.dataengine.artifacts.aliasing import Shot
from aw_jax.dataengine.artifacts.subject import Draft, Subject, draft
from aw_jax.geometry.cameras import Cameras, resized
from aw_jax.images.quantise import quantise
from aw_jax.splat.rasterize import render
from aw_jax.splat.settings import RenderSettings

EDITS = {
    "color_outliers": color_outliers.edit,
    "blurring": blurring.edit,
    "dilation": dilation.edit,
    "cracks": cracks.edit,
    "needles": needles.edit,
    "floaters": floaters.edit,
    "ghosting": ghosting.edit,
    "popping": popping.edit,
}
"""In the order they are made: what adds Gaussians comes after what changes them."""

SETTINGS = ("aliasing", "popping")
"""Types of route (c): how the splat is rendered, not what it is."""
MASK_STEP = 4 / 255


@pytree
class Broken:
    """A broken clip and where it is broken."""

    frames: UInt8[np.ndarray, "f h w 3"]
    alpha: Float[np.ndarray, "f h w"]
    depth: Float[np.ndarray, "f h w"]
    """z in the camera's frame, world units; 0 where nothing is seen."""
    mask: UInt8[np.ndarray, "f h w"]
    """255: broken."""
    mask_kind: str = static()
    """"edited weight" or "difference"."""


def broken_clip(
    subject: Subject, severities: dict[str, float], key: Key[Array, ""]
) -> Broken:
    """Breaks the clip of `subject`.

    Args:
        subject: the clean scene.
        severities: of each artifact type that shows, by name, in (0, 1].
        key: of everything random; equal arguments make equal clips.

    Raises:
        UserError: an unknown type, or a severity outside [0, 1].
    """
    _check(severities)
    strengths = {n: jnp.float32(severities.get(n, 0.0)) for n in EDITS}
    shot = aliasing.shot(severities.get("aliasing", 0.0))
    made = drafts(subject, strengths, key)
    color, alpha, depth, weight = _render(made, subject.cameras, shot)
    frames = np.asarray(quantise(color))
    by_edits = not any(severities.get(name, 0.0) > 0 for name in SETTINGS)
    mask = (
        np.asarray(quantise(jnp.maximum(weight, _former_weight(subject, made, key))))
        if by_edits
        else difference_mask(np.asarray(quantise(subject.clean.color)), frames)
    )
    return Broken(
        frames=frames,
        alpha=np.asarray(alpha),
        depth=np.asarray(depth),
        mask=mask,
        mask_kind="edited weight" if by_edits else "difference",
    )


@jax.jit
def drafts(
    subject: Subject, strengths: dict[str, Float[Array, ""]], key: Key[Array, ""]
) -> Draft:
    """The broken splats of all frames, (f,) in front."""
    frames = jnp.arange(len(subject.cameras.intrinsics))
    return jax.vmap(lambda frame: edited(subject, frame, strengths, key))(frames)


def edited(
    subject: Subject,
    frame: Int[Array, ""] | int,
    strengths: dict[str, Float[Array, ""]],
    key: Key[Array, ""],
) -> Draft:
    """The broken splat of one frame, aliasing left out."""
    work = draft(subject.splat)
    for name, edit in EDITS.items():
        work = edit(work, subject, frame, strengths[name], named(key, name))
    return work


def difference_mask(
    clean: UInt8[np.ndarray, "f h w 3"], broken: UInt8[np.ndarray, "f h w 3"]
) -> UInt8[np.ndarray, "f h w"]:
    """255 where the 3 x 3 mean of |broken - clean|, over channels, is above 4/255."""
    gap = np.abs(broken.astype(np.float32) - clean).mean(axis=-1) / 255
    padded = np.pad(gap, ((0, 0), (1, 1), (1, 1)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.where(windows.mean(axis=(-2, -1)) > MASK_STEP, 255, 0).astype(np.uint8)


@functools.partial(jax.jit, static_argnames="shot")
def _render(made: Draft, whole: Cameras, shot: Shot) -> tuple[Array, ...]:
    """Colors in [0, 1], alpha, depth and the edited Gaussians' weight, at full size."""
    small = resized(
        whole, width=whole.width // shot.shrink, height=whole.height // shot.shrink
    )
    settings = RenderSettings(low_pass=shot.low_pass)

    def one(work: Draft, camera: Cameras) -> tuple[Array, ...]:
        seen = render(
            work.splat,
            camera,
            settings=settings,
            depth_offsets=work.depth_offsets,
            tagged=work.touched,
        )
        assert seen.tagged is not None
        return jnp.clip(seen.color, 0, 1), seen.alpha, seen.depth, seen.tagged

    seen = jax.vmap(one)(made, small)
    return tuple(_enlarged(x, whole.height, whole.width) for x in seen)


def _former_weight(
    subject: Subject, made: Draft, key: Key[Array, ""]
) -> Float[Array, "f h w"]:
    """The weight, in the clean clip, of Gaussians that were edited or are gone.

    Edits at severity 0 are the clean splat with as many rows: no further program.
    """
    clean = drafts(subject, dict.fromkeys(EDITS, jnp.float32(0.0)), key)
    return _render(replace(clean, touched=made.touched), subject.cameras, Shot())[3]


def _enlarged(x: Float[Array, "f h w *c"], height: int, width: int) -> Array:
    """Every pixel repeated, as a player without a filter shows a small picture."""
    return jax.image.resize(x, (len(x), height, width, *x.shape[3:]), "nearest")


def _check(severities: dict[str, float]) -> None:
    for name, severity in severities.items():
        if name not in (*EDITS, "aliasing"):
            known = ", ".join((*EDITS, "aliasing"))
            raise UserError(f"artifact type '{name}': expected one of {known}.")
        if not 0 <= severity <= 1:
            raise UserError(f"severity of {name}: expected 0 to 1, got {severity}.")
