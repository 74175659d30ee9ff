"""How large and how near world points are as a clip sees them."""

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float
from aw_jax.geometry.cameras import Cameras, centers


def pixel_sizes(cameras: Cameras, points: Float[Array, "n 3"]) -> Float[Array, " n"]:
    """What one pixel measures at each point (world units), from the nearest camera."""
    gaps = jnp.linalg.norm(points[:, None] - centers(cameras), axis=-1)
    focal = jnp.mean(cameras.intrinsics[:, 0, 0])
    return jnp.min(gaps, axis=1) / focal


def short_side(cameras: Cameras) -> int:
    """Of the clip's pictures, in pixels: what sizes on the screen are measured by."""
    return min(cameras.width, cameras.height)
