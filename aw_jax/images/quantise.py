"""Eight-bit images and back: metrics are taken on what a file would hold."""

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, UInt8


def quantise(images: Float[Array, "*b h w c"]) -> UInt8[Array, "*b h w c"]:
    """[0, 1] to the nearest of 0 .. 255, clipped."""
    return jnp.round(jnp.clip(images, 0, 1) * 255).astype(jnp.uint8)


def dequantise(images: UInt8[Array, "*b h w c"]) -> Float[Array, "*b h w c"]:
    """0 .. 255 to [0, 1]."""
    return images.astype(jnp.float32) / 255
