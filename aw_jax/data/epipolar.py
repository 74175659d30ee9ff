"""Which features of two photos of known pose can be one point of the world.

All points on a half plane that ends in the baseline are seen by both cameras on that
half plane. So features are sorted by the angle at which their half plane stands around
the baseline, and a feature is compared with those at nearly its own angle only. Of
these it may match what lies near its epipolar line, on the part of it before infinity.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aw_jax.core.arrays import Bool, Float, Int
from aw_jax.data.features import Features

Block = tuple[Int[np.ndarray, " r"], Int[np.ndarray, " s"], Bool[np.ndarray, "r s"]]

_ROWS = 64
_AT_INFINITY = 0.005  # radians a measured ray may point beyond the parallel one


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fan:
    """A photo's rays in coordinates around the baseline."""

    around: Float[np.ndarray, " n"]
    """Angle of the half plane, in (-pi, pi]."""
    along: Float[np.ndarray, " n"]
    """Angle between the ray and the baseline's direction, in [0, pi]."""


def fundamental(a: Features, b: Features) -> Float[np.ndarray, "3 3"]:
    """F with x_b^T F x_a = 0 for homogeneous pixels x of one world point."""
    b_from_a = b.camera_from_world @ np.linalg.inv(a.camera_from_world)
    x, y, z = b_from_a[:3, 3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    essential = cross @ b_from_a[:3, :3]
    return np.linalg.inv(b.intrinsics).T @ essential @ np.linalg.inv(a.intrinsics)


def candidates(a: Features, b: Features, *, max_distance: float) -> Iterator[Block]:
    """Blocks of what may match: indices into `a` and `b`, and which pairs of them.

    Each feature of `a` is in one block. No block where the camera centres are one.

    Args:
        a: Features of one photo.
        b: Features of another.
        max_distance: Most pixels from the epipolar line, in either photo.
    """
    center_a, center_b = (np.linalg.inv(f.camera_from_world)[:3, 3] for f in (a, b))
    baseline = center_b - center_a
    if not np.linalg.norm(baseline) > 0:
        return
    fan_a, fan_b = (_fan(features, baseline) for features in (a, b))
    pixels_a, pixels_b = _homogeneous(a.positions), _homogeneous(b.positions)
    matrix = fundamental(a, b)
    lines_in_b, lines_in_a = _lines(pixels_a @ matrix.T), _lines(pixels_b @ matrix)
    for rows, columns in _neighbours(fan_a, fan_b, _slack(fan_a, a, max_distance)):
        near = np.abs(lines_in_b[rows] @ pixels_b[columns].T) <= max_distance
        near &= np.abs(pixels_a[rows] @ lines_in_a[columns].T) <= max_distance
        parallax = fan_b.along[columns] - fan_a.along[rows][:, None]
        yield rows, columns, near & (parallax > -_AT_INFINITY)


def _fan(features: Features, baseline: Float[np.ndarray, " 3"]) -> _Fan:
    rays = _homogeneous(features.positions) @ np.linalg.inv(features.intrinsics).T
    rays = rays @ features.camera_from_world[:3, :3]
    along = baseline / np.linalg.norm(baseline)
    across = np.cross(along, np.eye(3)[np.abs(along).argmin()])
    across /= np.linalg.norm(across)
    x, y, z = rays @ along, rays @ across, rays @ np.cross(along, across)
    return _Fan(around=np.arctan2(z, y), along=np.arctan2(np.hypot(y, z), x))


def _slack(
    fan: _Fan, features: Features, max_distance: float
) -> Float[np.ndarray, " n"]:
    """Most angle around the baseline that `max_distance` pixels make for each ray.

    A pixel is at most 1 / f radians; seen around the baseline, more by 1 / sin(along).
    """
    angle = max_distance / np.diag(features.intrinsics)[:2].min()
    ratio = angle / np.maximum(np.sin(fan.along), 1e-12)
    return np.where(ratio < 1, np.arcsin(np.minimum(ratio, 1)), np.pi)


def _neighbours(
    a: _Fan, b: _Fan, slack: Float[np.ndarray, " n"]
) -> Iterator[tuple[Int[np.ndarray, " r"], Int[np.ndarray, " s"]]]:
    """Blocks of `a` in order of angle, with all of `b` within the block's slack."""
    order_a, order_b = np.argsort(a.around), np.argsort(b.around)
    turns = b.around[order_b] + np.array([[-2 * np.pi], [0], [2 * np.pi]])
    turns, order_b = turns.ravel(), np.tile(order_b, 3)
    for start in range(0, len(order_a), _ROWS):
        rows = order_a[start : start + _ROWS]
        first = np.searchsorted(turns, np.min(a.around[rows] - slack[rows]))
        last = np.searchsorted(turns, np.max(a.around[rows] + slack[rows]), "right")
        yield rows, order_b[first : min(last, first + len(b.around))]


def _homogeneous(positions: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
    return np.concatenate([positions, np.ones((len(positions), 1))], axis=-1)


def _lines(coefficients: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Lines (a, b, c) scaled so that a u + b v + c is a distance in pixels."""
    length = np.linalg.norm(coefficients[:, :2], axis=-1, keepdims=True)
    return coefficients / np.maximum(length, 1e-12)
