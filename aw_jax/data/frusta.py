"""Random points in what a set of cameras sees and their masks let through."""

from collections.abc import Sequence

import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.data.photos import load_photo
from aw_jax.data.views import View

_ENOUGH = 50  # points, before their depths say more than the poses
_PERCENTILES = (2, 98)
_MARGIN = 1.25
_AROUND_FOCUS = (0.3, 3.0)
_FURTHEST_FOCUS = 20.0  # in extents of the cameras; beyond, they look in parallel


def sample_frusta(
    views: Sequence[View],
    count: int,
    *,
    around: Float[np.ndarray, "p 3"],
    seed: int,
) -> Float[np.ndarray, "q 3"]:
    """World points at random pixels of random views, log-uniform in depth.

    Args:
        views: The cameras; pixels are taken on the pinhole image. Where a view has a
            mask, only those that count are.
        count: How many.
        around: Points known of the place; the depths the views see them at are kept to.
        seed: Of this draw.
    """
    rng = np.random.default_rng(seed)
    which = rng.integers(len(views), size=count)
    pixel, depth = rng.random((count, 2)), rng.random(count)
    near, far = _depth_range(views, around)
    depth = np.exp(np.log(near) + depth * np.log(far / near))
    points = np.empty((count, 3))
    for index, view in enumerate(views):
        mine = which == index
        points[mine] = _at(view, _counting(view, pixel[mine]), depth[mine])
    return points


def _counting(view: View, pixel: Float[np.ndarray, "q 2"]) -> Float[np.ndarray, "q 2"]:
    """Uniform positions (as parts of width and height), now uniform on what counts."""
    if view.mask_path is None or not len(pixel):
        return pixel
    known = load_photo(view).known
    rows, columns = np.nonzero(known)
    nth = pixel[:, 0] * len(rows)
    cell = nth.astype(int)
    x, y = columns[cell] + nth - cell, rows[cell] + pixel[:, 1]
    return np.column_stack([x, y]) / known.shape[::-1]


def _at(
    view: View, pixel: Float[np.ndarray, "q 2"], depth: Float[np.ndarray, " q"]
) -> Float[np.ndarray, "q 3"]:
    """World points at pixels (as parts of width and height) and z-depths."""
    pixels = np.column_stack([pixel * (view.width, view.height), np.ones(len(pixel))])
    local = pixels @ np.linalg.inv(view.intrinsics).T * depth[:, None]
    return (local - view.camera_from_world[:3, 3]) @ view.camera_from_world[:3, :3]


def _depth_range(
    views: Sequence[View], points: Float[np.ndarray, "p 3"]
) -> tuple[float, float]:
    """Nearest and furthest depth: those of the points in view, else from the poses."""
    depths = np.concatenate([_depths_in(view, points) for view in views])
    if len(depths) < _ENOUGH:
        near, far = _AROUND_FOCUS
        focus = _focus_depth(views)
        return near * focus, far * focus
    near, far = np.percentile(depths, _PERCENTILES)
    return float(near / _MARGIN), float(far * _MARGIN)


def _depths_in(view: View, points: Float[np.ndarray, "p 3"]) -> Float[np.ndarray, " q"]:
    """Depths of the points inside the view's image."""
    local = points @ view.camera_from_world[:3, :3].T + view.camera_from_world[:3, 3]
    local = local[local[:, 2] > 0]
    pixels = local @ view.intrinsics.T / local[:, 2:]
    size = (view.width, view.height)
    inside = np.all((pixels[:, :2] >= 0) & (pixels[:, :2] <= size), axis=-1)
    return local[inside, 2]


def _focus_depth(views: Sequence[View]) -> float:
    """The median depth of the point nearest to all optical axes.

    Three extents of the camera centres where the axes are parallel or part, and 1 where
    the centres are one.
    """
    centers = np.stack([view.center for view in views])
    axes = np.stack([view.camera_from_world[2, :3] for view in views])
    extent = np.linalg.norm(centers - centers.mean(axis=0), axis=-1).max()
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    target = np.einsum("vij,vj->i", across, centers)
    focus = np.linalg.lstsq(across.sum(axis=0), target, rcond=1e-4)[0]
    depth = float(np.median(np.sum((focus - centers) * axes, axis=-1)))
    if 0.1 * extent < depth < _FURTHEST_FOCUS * extent:
        return depth
    return 3 * extent if extent > 0 else 1.0
