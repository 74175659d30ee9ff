"""Videos of any size through an autoencoder that takes 8 n + 1 frames of 32 x 32.

The last frame, row and column are repeated up to the next size that fits, and what
comes back is cropped. Frames, rows and columns keep their places, and the encoder is
causal: whole latent frames of the video itself do not see the frames added to it.
(Lightricks' pipeline fills up with grey, which leaves an edge inside the picture.)
"""

import jax.numpy as jnp
from jaxtyping import Shaped

from aw_jax.core.arrays import Array, Float
from aw_jax.models.ltx.vae_config import VAEConfig

Size = tuple[int, int, int]
"""Frames, rows, columns."""


def fitting_size(config: VAEConfig, size: Size) -> Size:
    """The smallest size the autoencoder takes that holds a video of `size`."""
    t, s = config.time_stride, config.space_stride
    frames, height, width = size
    return 1 + t * -(-(frames - 1) // t), s * -(-height // s), s * -(-width // s)


def pad(
    config: VAEConfig, video: Float[Array, "b f h w c"]
) -> Float[Array, "b g y x c"]:
    """`video`, its last frame, row and column repeated up to `fitting_size`."""
    _, frames, height, width, _ = video.shape
    size = (frames, height, width)
    added = [b - a for a, b in zip(size, fitting_size(config, size), strict=True)]
    if not any(added):
        return video
    return jnp.pad(video, [(0, 0), *((0, n) for n in added), (0, 0)], mode="edge")


def crop(video: Shaped[Array, "b g y x c"], size: Size) -> Shaped[Array, "b f h w c"]:
    """The first frames, rows and columns of `video`: undoes `pad`."""
    frames, height, width = size
    return video[:, :frames, :height, :width]
