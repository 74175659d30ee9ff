"""Rows of a batch whose self-attention is perturbed, for spatio-temporal guidance.

    attention_values     the attention reads each token's own value instead
    attention_skip       ... its own (modulated) input
    transformer_block    the block as a whole returns what it was given

The first two stand before the output projection. (LTX-Video attention.py.)
"""

from typing import Literal

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Bool, Float
from aw_jax.core.pytrees import pytree, static

Kind = Literal["attention_values", "attention_skip", "transformer_block"]


@pytree
class Perturbation:
    """Which rows, in which blocks, and how."""

    rows: Bool[Array, "*y b"]
    """[layers, b] for a network; [b] inside of one block."""
    kind: Kind = static(default="attention_values")


def perturbed(
    usual: Float[Array, "b m d"],
    other: Float[Array, "b m d"],
    perturbation: Perturbation | None,
    kind: Kind,
) -> Float[Array, "b m d"]:
    """`other` in the rows that are perturbed in this way, `usual` in all others."""
    if perturbation is None or perturbation.kind != kind:
        return usual
    rows = perturbation.rows[:, None, None]
    return jnp.where(rows, other.astype(usual.dtype), usual)
