"""Smooth camera paths: equal steps along a curve, an orbit, a spline through views."""

import jax.numpy as jnp
import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline

from aw_jax.core.arrays import Array, Float
from aw_jax.core.errors import UserError
from aw_jax.core.pytrees import replace
from aw_jax.geometry.alignment import rigid_parts
from aw_jax.geometry.cameras import Cameras
from aw_jax.geometry.rotations import pose

DENSE = 512
"""Points that stand for a curve."""


def arc_lengths(points: Float[np.ndarray, "p 3"]) -> Float[np.ndarray, " p"]:
    """The distance travelled at each point of a polyline, as a share of the whole."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=-1)
    travelled = np.concatenate([[0.0], np.cumsum(steps)])
    if travelled[-1] <= 0:
        return np.linspace(0.0, 1.0, len(points))
    return travelled / travelled[-1]


def equal_steps(
    points: Float[np.ndarray, "p 3"], count: int
) -> Float[np.ndarray, "count 3"]:
    """`count` points along a polyline, equally far apart, its ends included."""
    at, wanted = arc_lengths(points), np.linspace(0.0, 1.0, count)
    return np.stack([np.interp(wanted, at, x) for x in points.T], axis=-1)


def rounded(points: Float[np.ndarray, "p 3"], width: float) -> Float[np.ndarray, "p 3"]:
    """A polyline of equal steps with its corners smoothed and its ends kept.

    A Gaussian of deviation `width` (share of the length); beyond an end the curve goes
    on as its own reflection in the end point, which holds that point in place.
    """
    count = len(points)
    reach = min(int(np.ceil(4 * width * count)), count - 1)
    if reach == 0:
        return points
    before = 2 * points[0] - points[reach:0:-1]
    after = 2 * points[-1] - points[-2 : -reach - 2 : -1]
    longer = np.concatenate([before, points, after])
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (width * count)) ** 2)
    taps /= taps.sum()
    return np.stack([np.convolve(x, taps, mode="valid") for x in longer.T], axis=-1)


def through(keys: Cameras, frames: int) -> Cameras:
    """A twice differentiable path through all key views in their order.

    Positions follow a cubic spline and rotations a rotation spline over the chord
    length; between two views that is a straight line and one great arc. First and last
    camera are the first and last key, to the bit.
    """
    count = len(keys.intrinsics)
    if count < 2 or frames < 2:
        raise UserError(
            f"path: expected at least 2 views and 2 frames, got {count} and {frames}."
        )
    rotations, centers = rigid_parts(keys)
    knots = _knots(rotations, centers)
    fine = np.linspace(0, 1, DENSE)
    curve = CubicSpline(knots, centers) if count > 2 else _line(centers)
    travelled = arc_lengths(curve(fine))
    at = np.interp(np.linspace(0, 1, frames), travelled, fine)
    turned = RotationSpline(knots, Rotation.from_matrix(rotations))(at).as_matrix()
    k = np.asarray(keys.intrinsics, np.float64)
    lenses = np.stack([np.interp(at, knots, x) for x in k.reshape(count, 9).T], axis=-1)
    path = replace(
        keys,
        camera_from_world=_f32(pose(turned, curve(at))),
        intrinsics=_f32(lenses.reshape(frames, 3, 3)),
    )
    return with_ends(path, keys[0], keys[-1])


def with_ends(path: Cameras, first: Cameras, last: Cameras) -> Cameras:
    """The path with its first and last camera replaced, to the bit."""
    return replace(
        path,
        camera_from_world=path.camera_from_world.at[0]
        .set(first.camera_from_world)
        .at[-1]
        .set(last.camera_from_world),
        intrinsics=path.intrinsics.at[0]
        .set(first.intrinsics)
        .at[-1]
        .set(last.intrinsics),
    )


def _line(ends: Float[np.ndarray, "2 3"]) -> CubicSpline:
    """The straight line between two points, as a spline over [0, 1]."""
    return CubicSpline(
        np.array([0.0, 0.5, 1.0]), np.stack([ends[0], ends.mean(axis=0), ends[1]])
    )


def _knots(
    rotations: Float[np.ndarray, "v 3 3"], centers: Float[np.ndarray, "v 3"]
) -> Float[np.ndarray, " v"]:
    """Increasing knots in [0, 1] by chord length, and a little for turning in place."""
    chords = np.linalg.norm(np.diff(centers, axis=0), axis=-1)
    turns = np.linalg.norm(np.diff(rotations, axis=0), axis=(1, 2))
    unit = chords.mean() if chords.mean() > 0 else 1.0
    steps = chords / unit + 0.05 * turns + 1e-6
    return np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()


def _f32(x: object) -> Float[Array, "..."]:
    """To the device, in single precision."""
    return jnp.asarray(x, jnp.float32)
