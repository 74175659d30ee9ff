"""How a set of cameras stands around what it looks at.

Up is the mean of the cameras' up, the focus is the point nearest to all optical axes,
and places are told in cylinder coordinates about the upright line through the focus:
azimuth (radians), radius and height (world units).
"""

import dataclasses

import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.geometry.cameras import Cameras

Poses = Float[np.ndarray, "v 4 4"]
Places = Float[np.ndarray, "*v 3"]

SOFTNESS = 1e-3
"""Pull of the focus towards the point in front of the mean camera, for parallel axes."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CaptureFrame:
    """An upright frame about the focus, and the band that the cameras occupy."""

    axes: Float[np.ndarray, "3 3"]
    """Rows: two horizontal directions and up, in the world."""
    focus: Float[np.ndarray, "3"]
    radius: float
    """90th percentile of the cameras' distance from the upright line."""
    heights: tuple[float, float]
    """10th and 90th percentile of their heights above the focus."""
    inward: bool
    """Whether most cameras have the focus in front of them."""

    def cylinder(self, places: Places) -> Places:
        """(azimuth, radius, height) of world places."""
        local = (places - self.focus) @ self.axes.T
        azimuth = np.arctan2(local[..., 1], local[..., 0])
        radius = np.hypot(local[..., 0], local[..., 1])
        return np.stack([azimuth, radius, local[..., 2]], axis=-1)

    def world(self, cylinder: Places) -> Places:
        """Inverse of `cylinder`."""
        azimuth, radius, height = np.moveaxis(cylinder, -1, 0)
        local = np.stack(
            [radius * np.cos(azimuth), radius * np.sin(azimuth), height], axis=-1
        )
        return local @ self.axes + self.focus


def poses(cameras: Cameras) -> Poses:
    """The cameras' `camera_from_world` in float64 on the host."""
    return np.asarray(cameras.camera_from_world, np.float64)


def eyes(camera_from_world: Poses) -> Places:
    """Camera centres in the world."""
    return np.linalg.inv(camera_from_world)[:, :3, 3]


def capture_frame(cameras: Cameras) -> CaptureFrame:
    """The frame of (v,) cameras; nothing but their poses enters."""
    views = poses(cameras)
    centers, forward = eyes(views), views[:, 2, :3]
    axes = _axes(-views[:, 1, :3].mean(axis=0), forward.mean(axis=0))
    focus = _focus(centers, forward)
    inward = float(np.mean(np.sum((focus - centers) * forward, axis=1) > 0)) > 0.5
    local = (centers - focus) @ axes.T
    low, high = np.percentile(local[:, 2], [10, 90])
    return CaptureFrame(
        axes=axes,
        focus=focus,
        radius=float(np.percentile(np.hypot(local[:, 0], local[:, 1]), 90)),
        heights=(float(low), float(high)),
        inward=inward,
    )


def _axes(
    up: Float[np.ndarray, "3"], forward: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "3 3"]:
    z = up / np.linalg.norm(up)
    x = forward - z * (forward @ z)
    if np.linalg.norm(x) < 1e-6:  # the cameras look straight up or down
        x = np.eye(3)[np.argmin(np.abs(z))]
        x = x - z * (x @ z)
    x = x / np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


def _focus(centers: Places, forward: Places) -> Float[np.ndarray, "3"]:
    """The point of least squared distance to all optical axes, softly regularised."""
    forward = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    spread = np.linalg.norm(centers - centers.mean(axis=0), axis=-1).max()
    ahead = centers.mean(axis=0) + max(spread, 1e-9) * forward.mean(axis=0)
    pull = SOFTNESS * np.eye(3)
    left = across.mean(axis=0) + pull
    right = np.mean(across @ centers[:, :, None], axis=0)[:, 0] + pull @ ahead
    return np.linalg.solve(left, right)
