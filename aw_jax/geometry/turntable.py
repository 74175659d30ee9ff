"""A turn around a cloud of points that comes without cameras."""

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.geometry.cameras import Cameras
from aw_jax.geometry.rotations import look_at

FIELD_OF_VIEW = np.radians(50.0)
DISTANCE = 1.6
"""Of the cameras from the middle, in radii of the sphere that holds most points."""
UP = np.array([0.0, -1.0, 0.0])
"""Captures of photos mostly have y down, as their cameras do."""


def turntable(
    points: Float[np.ndarray, "p 3"], *, frames: int, width: int, height: int
) -> Cameras:
    """(frames,) cameras on a level circle around the median point, looking at it.

    Its radius follows the 80th percentile of the points' distances (world units).
    """
    middle = np.median(points, axis=0)
    size = float(np.percentile(np.linalg.norm(points - middle, axis=1), 80))
    angle = 2 * np.pi * np.arange(frames) / frames
    ring = np.stack([np.sin(angle), 0 * angle - 0.3, -np.cos(angle)], axis=1)
    eyes = middle + DISTANCE * max(size, 1e-9) * ring
    poses = look_at(eyes, np.tile(middle, (frames, 1)), np.tile(UP, (frames, 1)))
    focal = min(width, height) / 2 / np.tan(FIELD_OF_VIEW / 2)
    k = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return Cameras(
        camera_from_world=jnp.asarray(poses, jnp.float32),
        intrinsics=jnp.tile(jnp.asarray(k, jnp.float32), (frames, 1, 1)),
        width=width,
        height=height,
    )
