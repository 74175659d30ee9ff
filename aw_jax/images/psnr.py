"""Peak signal-to-noise ratio."""

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float


def psnr(
    image: Float[Array, "*b h w c"], truth: Float[Array, "*b h w c"]
) -> Float[Array, "*b"]:
    """Decibels per image, for a peak of 1; infinite where two images are equal."""
    error = jnp.mean((image - truth) ** 2, axis=(-3, -2, -1))
    return -10 * jnp.log10(error)
