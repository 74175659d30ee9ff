"""The model's frame: a centred crop of a view at the restorer's resolution.

The field of view along the short side is kept and nothing is stretched. Photos and
cameras are framed alike, in the convention of pixel centres at +0.5.
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float
from aw_jax.core.pytrees import replace
from aw_jax.geometry.cameras import Cameras


def _scale_and_offset(
    width: int, height: int, *, to_width: int, to_height: int
) -> tuple[float, float, float]:
    """Scale and offsets in x' = scale * x + offset, from view to frame pixels."""
    scale = max(to_width / width, to_height / height)
    return scale, (to_width - scale * width) / 2, (to_height - scale * height) / 2


def frame_cameras(cameras: Cameras, *, width: int, height: int) -> Cameras:
    """The same poses, seen through the frame."""
    scale, x, y = _scale_and_offset(
        cameras.width, cameras.height, to_width=width, to_height=height
    )
    change = jnp.asarray([[scale, 0, x], [0, scale, y], [0, 0, 1]], jnp.float32)
    intrinsics = change @ cameras.intrinsics
    return replace(cameras, intrinsics=intrinsics, width=width, height=height)


def frame_images(
    images: Float[Array, "v y x c"], *, width: int, height: int
) -> Float[Array, "v h w c"]:
    """The photos as the frame shows them, filtered against aliasing."""
    views, rows, columns, channels = images.shape
    scale, x, y = _scale_and_offset(columns, rows, to_width=width, to_height=height)
    return jax.image.scale_and_translate(
        images,
        (views, height, width, channels),
        (1, 2),
        jnp.asarray([scale, scale]),
        jnp.asarray([y, x]),
        method="linear",
        antialias=True,
    )
