"""What is done to normalised latents between two passes, and before they are decoded.

    adain(z) = (z - mean z) / std z * std y + mean y         by channel, over a clip
    tone(z)  = z (1 - 0.8 s sigmoid(4 s (|z| - 1))),         s = 3/4 compression

Source: `adain_filter_latent`, `tone_map_latents` and `LTXMultiScalePipeline` of
Lightricks' pipeline_ltx_video.py.
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float
from aw_jax.models.ltx.upsampler import LatentUpsampler
from aw_jax.models.ltx.vae import VideoVAE

_CLIP = (1, 2, 3)


def upsampled(
    model: LatentUpsampler, vae: VideoVAE, z: Float[Array, "b f h w c"]
) -> Float[Array, "b g y x c"]:
    """Normalised latents upsampled, with the statistics of `z`."""
    return adain(vae.normalise(model(vae.restore(z))), z)


def adain(
    z: Float[Array, "b f h w c"], like: Float[Array, "b g y x c"]
) -> Float[Array, "b f h w c"]:
    """`z` with the mean and deviation of each channel of `like`."""
    mean, deviation = _moments(z)
    to_mean, to_deviation = _moments(like)
    moved = (z.astype(jnp.float32) - mean) / deviation * to_deviation + to_mean
    return moved.astype(z.dtype)


def tone_mapped(z: Float[Array, "*b c"], compression: float) -> Float[Array, "*b c"]:
    """`z` with large values made smaller; `compression` in [0, 1], 0: as it is."""
    s = 0.75 * compression
    return z * (1 - 0.8 * s * jax.nn.sigmoid(4 * s * (jnp.abs(z) - 1)))


def _moments(
    z: Float[Array, "b f h w c"],
) -> tuple[Float[Array, "b 1 1 1 c"], Float[Array, "b 1 1 1 c"]]:
    """Mean and deviation, this over one value fewer than there are."""
    z = z.astype(jnp.float32)
    mean = jnp.mean(z, _CLIP, keepdims=True)
    return mean, jnp.std(z, _CLIP, keepdims=True, ddof=1)
