"""Masked flow matching (Eq. 3): only the target's velocity is compared."""

from collections.abc import Callable

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float
from aw_jax.restoration.triplet import Sequence, target_slice

Velocity = Callable[[Sequence], Float[Array, "b m c"]]
"""A model bound to its text, positions and adapter."""


def masked_flow_loss(
    predicted: Float[Array, "b m c"],
    sequence: Sequence,
    *,
    data: Float[Array, "b n c"],
    source: Float[Array, "b n c"],
    weight: Float[Array, "b n"] | None = None,
    channels: Float[Array, " c"] | None = None,
) -> Float[Array, ""]:
    """Mean squared error of the target slice against z_1 - z_0 (Eq. 3).

    Args:
        predicted: velocity of every token, of any dtype; compared in float32.
        sequence: the doublet or triplet that was shown to the model.
        data: z_0, the clean target.
        source: z_1, where the path starts: noise, or the artifact latents.
        weight: of every target token's squared error; None: 1, as in Eq. 3.
        channels: of every channel's squared error; None: 1, as in Eq. 3.
    """
    found = target_slice(sequence, predicted).astype(jnp.float32)
    wanted = (source - data).astype(jnp.float32)
    error = _mean_square(found - wanted, channels)
    return jnp.mean(error if weight is None else weight * error)


def damage_weight(
    clean: Float[Array, "b n y x c"],
    artifact: Float[Array, "b n y x c"],
    *,
    floor: float,
    channels: Float[Array, " c"] | None = None,
) -> Float[Array, "b n"]:
    """One over the damage of every latent frame, its mean squared error, plus `floor`.

    With it, mending a third of a small error counts as much as a third of a large one,
    as it does in decibels.
    """
    damage = _mean_square(clean - artifact, channels).mean(axis=(2, 3))
    return 1 / (damage + floor)


def _mean_square(
    error: Float[Array, "*b c"], channels: Float[Array, " c"] | None
) -> Float[Array, "*b"]:
    """Over channels, each by its weight."""
    square = jnp.square(error)
    return jnp.mean(square if channels is None else channels * square, axis=-1)
