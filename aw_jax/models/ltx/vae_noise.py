"""The noise that 0.9.1 adds inside its decoder, the same in tiles as in the whole.

A plane of unit normals, one a pixel, for all frames and channels: what StyleGAN calls
noise inputs. A tile draws the plane of the whole video and cuts its own part out.

Source: `_feed_spatial_noise` of Lightricks' causal_video_autoencoder.py.
"""

import jax

from aw_jax.core.arrays import Array, Float, Int, Key
from aw_jax.core.pytrees import pytree, static


@pytree
class Window:
    """Which rows and columns of a video's latents a tile of it holds."""

    corner: Int[Array, " 2"]
    """Its first row and column."""
    size: tuple[int, int] = static()
    """Its rows and columns."""
    whole: tuple[int, int] = static()
    """Rows and columns of the video."""


def plane(
    x: Float[Array, "b f h w c"], key: Key[Array, ""], window: Window | None
) -> Float[Array, "h w 1"]:
    """Unit normals for the pixels of `x`, which the latents of `window` became."""
    if window is None:
        return jax.random.normal(key, (*x.shape[2:4], 1), x.dtype)
    scale = x.shape[2] // window.size[0]
    rows, columns = (scale * side for side in window.whole)
    drawn = jax.random.normal(key, (rows, columns, 1), x.dtype)
    first, second = scale * window.corner
    return jax.lax.dynamic_slice(drawn, (first, second, 0), (*x.shape[2:4], 1))
