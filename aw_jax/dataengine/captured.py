"""Captures on disk as scenes to break: photos cut to the clip's size, and points."""

import itertools
import math
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float
from aw_jax.core.errors import UserError
from aw_jax.core.pytrees import replace
from aw_jax.data.frusta import sample_frusta
from aw_jax.data.photos import Photo, PhotoSize, load_photo
from aw_jax.data.procedural.surface_points import random_points
from aw_jax.data.scenes import load_scene
from aw_jax.data.views import Scene, View
from aw_jax.dataengine.dense_fit import DenseCapture, DenseFitConfig
from aw_jax.dataengine.sparse_fit import SparseCapture, SparseFitConfig, log_uniform
from aw_jax.geometry.cameras import Cameras, project
from aw_jax.geometry.paths import through

SKIP = 8
"""Photos from one training view of a sparse fit to the next (Sec. 3.2)."""


def photo_capture(
    path: str | Path, *, size: tuple[int, int], config: DenseFitConfig
) -> DenseCapture:
    """A capture, its photos scaled and cut around their middle to `size` (w, h).

    Points are the capture's own, at most `config.points.count`, filled up to so many by
    random ones where the views look.

    Raises:
        UserError: no capture, damaged or too small photos, poses that cannot be.
    """
    scene = load_scene(path)
    photos = [_cut(_scaled(view, size), size) for view in scene.views]
    known = np.stack([photo.known for photo in photos])
    points, colors = _points(scene, config.points.count)
    return DenseCapture(
        photos=_f32([photo.image for photo in photos]),
        cameras=Cameras(
            camera_from_world=_f32([photo.camera_from_world for photo in photos]),
            intrinsics=_f32([photo.intrinsics for photo in photos]),
            width=size[0],
            height=size[1],
        ),
        points=_f32(points),
        colors=_f32(colors),
        weights=None if known.all() else _f32(known),
    )


def sparse_photos(
    dense: DenseCapture,
    rng: np.random.Generator,
    *,
    frames: int,
    config: SparseFitConfig,
) -> SparseCapture:
    """Every so-manieth photo of a stretch of the capture, and the walk along it."""
    photos = len(dense.photos)
    count = min(int(rng.integers(config.views[0], config.views[1] + 1)), photos)
    skip = max(1, min(config.skip or SKIP, (photos - 1) // (count - 1)))
    start = int(rng.integers(photos - skip * (count - 1)))
    views = start + skip * np.arange(count)
    cameras = dense.cameras[views]
    points, colors = _thinned(dense, cameras, rng, config)
    return SparseCapture(
        walk=_walk(dense.cameras, views, frames),
        skip=frames - 1,
        photos=dense.photos[views],
        cameras=cameras,
        points=points,
        colors=colors,
        steps=log_uniform(rng, config.steps),
    )


def _walk(cameras: Cameras, views: np.ndarray, frames: int) -> Cameras:
    """Past all photos, `frames` - 1 frames from one training view to the next."""
    legs = [
        through(cameras[np.arange(a, b + 1)], frames)
        for a, b in itertools.pairwise(views)
    ]
    join = lambda name: jnp.concatenate(
        [getattr(legs[0], name)[:1], *(getattr(leg, name)[1:] for leg in legs)]
    )
    return replace(
        cameras,
        camera_from_world=join("camera_from_world"),
        intrinsics=join("intrinsics"),
    )


def _thinned(
    dense: DenseCapture,
    cameras: Cameras,
    rng: np.random.Generator,
    config: SparseFitConfig,
) -> tuple[Float[Array, "p 3"], Float[Array, "p 3"]]:
    """Some of the capture's points, and random ones for the rest."""
    count = min(log_uniform(rng, config.surface), len(dense.points))
    kept = rng.choice(len(dense.points), count, replace=False)
    _, depth = project(cameras, dense.points)
    ahead = np.asarray(depth)[np.asarray(depth) > 0]
    middle = float(np.median(ahead)) if ahead.size else 1.0
    points, colors = random_points(cameras, middle, config.start - count, rng=rng)
    return (
        _f32(np.concatenate([np.asarray(dense.points)[kept], points])),
        _f32(np.concatenate([np.asarray(dense.colors)[kept], colors])),
    )


def _points(
    scene: Scene, count: int
) -> tuple[Float[np.ndarray, "p 3"], Float[np.ndarray, "p 3"]]:
    """The capture's points, thinned or filled up to `count`; random ones are grey."""
    rng = np.random.default_rng(0)
    known, colors = np.zeros((0, 3)), np.zeros((0, 3))
    if scene.points is not None:
        known, colors = scene.points.positions, scene.points.colors / 255
    kept = np.sort(rng.permutation(len(known))[:count])
    known, colors = known[kept], colors[kept]
    missing = count - len(known)
    more = sample_frusta(scene.views, missing, around=known, seed=0)
    grey = np.full((missing, 3), 0.5)
    return np.concatenate([known, more]), np.concatenate([colors, grey])


def _scaled(view: View, size: tuple[int, int]) -> Photo:
    """The photo just large enough to be cut to `size`."""
    scale = max(size[0] / view.width, size[1] / view.height)
    short = math.ceil(scale * min(view.width, view.height))
    return load_photo(view, PhotoSize(short_side=short))


def _cut(photo: Photo, size: tuple[int, int]) -> Photo:
    """The middle of a photo.

    Raises:
        UserError: it is smaller than the clip.
    """
    height, width = photo.known.shape
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    if left < 0 or top < 0:
        raise UserError(
            f"photo {photo.name}: expected at least {size[0]}x{size[1]} pixels, got "
            f"{width}x{height}; make smaller clips."
        )
    part = (slice(top, top + size[1]), slice(left, left + size[0]))
    shift = np.array([[0, 0, left], [0, 0, top], [0, 0, 0]])
    return Photo(
        name=photo.name,
        image=photo.image[part],
        known=photo.known[part],
        masked=photo.masked[part],
        intrinsics=photo.intrinsics - shift,
        camera_from_world=photo.camera_from_world,
    )


def _f32(x: list[np.ndarray] | np.ndarray) -> Float[Array, "..."]:
    """To the device, in single precision."""
    return jnp.asarray(np.asarray(x), jnp.float32)
