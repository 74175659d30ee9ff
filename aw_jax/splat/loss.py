"""The loss between a render and an image, L_recon and L_gen alike (Sec. 4.4)."""

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float
from aw_jax.images.ssim import ssim_map
from aw_jax.splat.fit_config import LossConfig


def completed(
    image: Float[Array, "*b h w 3"],
    truth: Float[Array, "*b h w 3"],
    weights: Float[Array, "*b h w"] | None,
) -> Float[Array, "*b h w 3"]:
    """The render, but the target itself where its weight is 0, for it is unknown."""
    if weights is None:
        return image
    return jnp.where(weights[..., None] > 0, image, truth)


def photometric(
    image: Float[Array, "*b h w 3"],
    truth: Float[Array, "*b h w 3"],
    weights: Float[Array, "*b h w"] | None = None,
    *,
    config: LossConfig,
) -> Float[Array, ""]:
    """l1 |x - y| + ssim (1 - SSIM), averaged over all pixels times their weights.

    Pixels of weight 0 are completed, so that no neighbour's window sees them either.
    """
    image = completed(image, truth, weights)
    difference = jnp.abs(image - truth)
    dissimilarity = 1 - ssim_map(image, truth)
    loss = jnp.mean(config.l1 * difference + config.ssim * dissimilarity, axis=-1)
    return jnp.mean(loss if weights is None else loss * weights)
