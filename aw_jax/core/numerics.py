"""Operations that stay finite, with finite gradients, at the edge of their domain."""

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float


def safe_norm(
    x: Float[Array, "*b d"], *, floor: float = 1e-12, keepdims: bool = False
) -> Float[Array, "..."]:
    """The length of `x` along its last axis, at least `floor`; no NaN gradient at 0."""
    square = jnp.sum(x * x, axis=-1, keepdims=keepdims)
    return jnp.sqrt(jnp.maximum(square, floor * floor))


def unit(x: Float[Array, "*b d"], *, floor: float = 1e-12) -> Float[Array, "*b d"]:
    """`x` divided by its length; the zero vector stays zero."""
    return x / safe_norm(x, floor=floor, keepdims=True)
