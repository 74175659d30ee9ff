"""Where each latent token stands, in seconds and pixels of the video it codes.

    (f / fps,  y * stride_h,  x * stride_w),
    f = i * stride_f                        ("plain")
    f = max(0, i * stride_f + 1 - stride_f) ("causal": the first frame stands alone)

A stream that conditions another uses the same coordinates; only its timestep tells them
apart. (LTX-Video vae_encode.py, `latent_to_pixel_coords`.)
"""

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float
from aw_jax.models.ltx.config import RopeTime

STRIDES = (8, 32, 32)


def coordinates(
    frames: int,
    height: int,
    width: int,
    *,
    fps: float | int,
    rope_time: RopeTime,
    strides: tuple[int, int, int] = STRIDES,
) -> Float[Array, "n 3"]:
    """Seconds, row and column of every token of a latent grid, row-major (f, h, w).

    Args:
        frames: latent frames; `height` and `width` are latent too.
        height: latent rows.
        width: latent columns.
        fps: frames per second of the video.
        rope_time: the convention of the checkpoint.
        strides: frames, rows and columns of the video per latent step.
    """
    time = jnp.arange(frames, dtype=jnp.float32) * strides[0]
    if rope_time == "causal":
        time = jnp.maximum(time + 1 - strides[0], 0)
    rows = jnp.arange(height, dtype=jnp.float32) * strides[1]
    columns = jnp.arange(width, dtype=jnp.float32) * strides[2]
    grid = jnp.meshgrid(time / fps, rows, columns, indexing="ij")
    return jnp.stack(grid, axis=-1).reshape(-1, 3)
