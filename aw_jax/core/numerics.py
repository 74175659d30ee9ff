"""Operations that stay finite, with finite gradients, at the edge of their domain.

Vectors may also be given by components, which is how harmonics are evaluated: XLA makes
faster loops of arrays of shape (..., g) than of (..., g, 3).
"""

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


def components(x: Float[Array, "*b d"]) -> tuple[Float[Array, "*b"], ...]:
    """The entries along the last axis, one array for each."""
    return tuple(part[..., 0] for part in jnp.split(x, x.shape[-1], axis=-1))


def unit_components(
    x: tuple[Float[Array, "*b"], ...], *, floor: float = 1e-12
) -> tuple[Float[Array, "*b"], ...]:
    """`unit` of a vector given by components."""
    square = sum(part * part for part in x[1:]) + x[0] * x[0]
    length = jnp.sqrt(jnp.maximum(square, floor * floor))
    return tuple(part / length for part in x)
