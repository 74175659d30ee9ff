"""The loss between a render and an image, L_recon and L_gen alike (Sec. 4.4)."""

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float
from aw_jax.images.ssim import ssim_map
from aw_jax.splat.fit_config import LossConfig


def photometric(
    image: Float[Array, "*b h w 3"],
    truth: Float[Array, "*b h w 3"],
    weights: Float[Array, "*b h w"] | None = None,
    *,
    config: LossConfig,
) -> Float[Array, ""]:
    """l1 |x - y| + ssim (1 - SSIM), averaged over all pixels times their weights.

    Where a weight is 0 the truth is unknown: the render stands in for it, so that the
    window of a neighbour does not see it either.
    """
    if weights is not None:
        image = jnp.where(weights[..., None] > 0, image, truth)
    difference = jnp.abs(image - truth)
    dissimilarity = 1 - ssim_map(image, truth)
    loss = jnp.mean(config.l1 * difference + config.ssim * dissimilarity, axis=-1)
    return jnp.mean(loss if weights is None else loss * weights)
