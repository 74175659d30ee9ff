"""The frame in which camera paths are drawn: up is up, the focus is the origin.

Poses come in any frame and any unit. Here z is the cameras' mean up, x and y are the
principal axes of the capture's ground plan around its focus, and one unit is the median
distance of a camera from the focus. All of it turns, moves and scales with the world.
"""

import dataclasses

import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.geometry.cameras import Cameras
from aw_jax.geometry.rotations import AnyArray

PRIOR_WEIGHT = 1e-3
"""Pull of the focus to a point ahead of the cameras: their axes may be parallel."""
PRIOR_DISTANCE = 3.0
"""How far ahead that point is, in deviations of the camera centres."""
INWARD = 0.5
"""Least mean cosine between views and the focus for a capture to look inwards."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlignedFrame:
    """A similarity from the world to the frame above; all arrays are float64."""

    axes: Float[np.ndarray, "3 3"]
    """The frame's x, y, z in the world, as rows."""
    origin: Float[np.ndarray, "3"]
    """The focus in the world."""
    scale: float
    """World units per unit."""
    inward: bool
    """Whether the cameras look at the focus; else they look around from it."""

    def points(self, world: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3"]:
        """World points in the frame."""
        return (world - self.origin) / self.scale @ self.axes.T

    def rotations(
        self, camera_from_world: Float[np.ndarray, "*b 3 3"]
    ) -> Float[np.ndarray, "*b 3 3"]:
        """Camera rotations as seen from the frame: `camera_from_frame`."""
        return camera_from_world @ self.axes.T

    def poses(
        self, rotations: Float[AnyArray, "v 3 3"], eyes: Float[np.ndarray, "v 3"]
    ) -> Float[np.ndarray, "v 4 4"]:
        """The `camera_from_world` of `camera_from_frame` rotations at frame points."""
        turned = np.asarray(rotations) @ self.axes
        places = self.origin + self.scale * eyes @ self.axes
        poses = np.tile(np.eye(4), (len(turned), 1, 1))
        poses[:, :3, :3] = turned
        poses[:, :3, 3] = -np.einsum("vij,vj->vi", turned, places)
        return poses


def rigid_parts(
    cameras: Cameras,
) -> tuple[Float[np.ndarray, "v 3 3"], Float[np.ndarray, "v 3"]]:
    """Rotations `camera_from_world` and centres, float64."""
    poses = np.asarray(cameras.camera_from_world, np.float64)
    return poses[:, :3, :3], np.linalg.inv(poses)[:, :3, 3]


def aligned_frame(training: Cameras) -> AlignedFrame:
    """The frame of a capture, from its training cameras alone."""
    rotations, centers = rigid_parts(training)
    focus, inward = _focus(rotations[:, 2], centers)
    up = -rotations[:, 1].mean(axis=0)
    if np.linalg.norm(up) < 1e-3:
        up = -rotations[0, 1]
    up = up / np.linalg.norm(up)
    distance = float(np.median(np.linalg.norm(centers - focus, axis=-1)))
    return AlignedFrame(
        axes=_axes(up, rotations[0, 2], centers - focus),
        origin=focus,
        scale=distance if distance > 0 else 1.0,
        inward=inward,
    )


def _focus(
    directions: Float[np.ndarray, "v 3"], centers: Float[np.ndarray, "v 3"]
) -> tuple[Float[np.ndarray, "3"], bool]:
    """The point nearest to all optical axes, and whether the cameras look at it.

    min_p sum_i |(I - d_i d_i^T)(p - c_i)|^2 + w |p - ahead|^2, in closed form. Cameras
    that look apart have their nearest point behind them: the focus is then their mean.
    """
    mean, forward = centers.mean(axis=0), directions.mean(axis=0)
    length = np.linalg.norm(forward)
    spread = np.sqrt(((centers - mean) ** 2).sum(axis=-1).mean())
    reach = PRIOR_DISTANCE * spread if spread > 0 else 1.0
    ahead = mean + reach * forward / max(length, 1e-6)
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    weight = PRIOR_WEIGHT * np.eye(3)
    left = across.mean(axis=0) + weight
    right = np.einsum("vij,vj->i", across, centers) / len(centers) + weight @ ahead
    for focus in (np.linalg.solve(left, right), ahead):
        way = focus - centers
        distance = np.maximum(np.linalg.norm(way, axis=-1), 1e-12)
        if ((way * directions).sum(axis=-1) / distance).mean() > INWARD:
            return focus, True
    return mean, False


def _axes(
    up: Float[np.ndarray, "3"],
    forward: Float[np.ndarray, "3"],
    offsets: Float[np.ndarray, "v 3"],
) -> Float[np.ndarray, "3 3"]:
    """Up, and the principal axes of the offsets' horizontal second moments."""
    ahead = forward - up * (forward @ up)
    if np.linalg.norm(ahead) < 1e-6:
        ahead = np.linalg.svd(up[None])[2][1]
    first = ahead / np.linalg.norm(ahead)
    second = np.cross(up, first)
    x, y = offsets @ first, offsets @ second
    angle = 0.5 * np.arctan2(2 * (x * y).sum(), (x * x - y * y).sum())
    along = np.cos(angle) * first + np.sin(angle) * second
    return np.stack([along, np.cross(up, along), up])
