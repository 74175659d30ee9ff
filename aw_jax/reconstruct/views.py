"""Training views as the loop needs them: to fit to, to withhold, to anchor clips on."""

import bisect
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Bool, Float
from aw_jax.core.pytrees import pytree
from aw_jax.geometry.cameras import Cameras
from aw_jax.reconstruct.framing import frame_cameras, frame_images
from aw_jax.splat.targets import Targets

_LEAST_MASKED = 1e-3


@pytree
class Anchors:
    """Training views as the restorer's frame shows them, in one stack."""

    photos: Float[Array, "v h w 3"]
    cameras: Cameras
    """(v,) framed cameras."""
    masked: Bool[Array, "v h w"] | None = None
    """True where a photo shows what is not of the place; None: nowhere."""


def count(groups: Sequence[Targets]) -> int:
    """Views of all sizes together."""
    return sum(len(group.images) for group in groups)


def select(groups: Sequence[Targets], keep: Sequence[int]) -> tuple[Targets, ...]:
    """The views at positions `keep` (counted through all groups), grouped as before."""
    starts = [0, *itertools.accumulate(len(group.images) for group in groups)]
    inside: dict[int, list[int]] = {}
    for position in sorted(keep):
        group = bisect.bisect_right(starts, position) - 1
        inside.setdefault(group, []).append(position - starts[group])
    return tuple(
        jax.tree.map(lambda x, rows=rows: x[np.asarray(rows)], groups[group])
        for group, rows in inside.items()
    )


def all_cameras(groups: Sequence[Targets], *, width: int, height: int) -> Cameras:
    """(v,) cameras of all views, framed to one size."""
    framed = [
        frame_cameras(group.cameras, width=width, height=height) for group in groups
    ]
    return Cameras(
        camera_from_world=jnp.concatenate([c.camera_from_world for c in framed]),
        intrinsics=jnp.concatenate([c.intrinsics for c in framed]),
        width=width,
        height=height,
    )


def anchors(groups: Sequence[Targets], *, width: int, height: int) -> Anchors:
    """The views, framed for a restorer of this resolution."""
    photos = [
        frame_images(jnp.asarray(group.images), width=width, height=height)
        for group in groups
    ]
    return Anchors(
        photos=jnp.concatenate(photos).clip(0, 1),
        cameras=all_cameras(groups, width=width, height=height),
        masked=_masked(groups, width=width, height=height),
    )


def _masked(
    groups: Sequence[Targets], *, width: int, height: int
) -> Bool[Array, "v h w"] | None:
    """Where framed photos hold something masked."""
    if all(group.masked is None for group in groups):
        return None
    found = []
    for group in groups:
        masked = jnp.zeros(group.images.shape[:3])
        if group.masked is not None:
            masked = group.masked.astype(jnp.float32)
        found.append(frame_images(masked[..., None], width=width, height=height))
    return jnp.concatenate(found)[..., 0] > _LEAST_MASKED
