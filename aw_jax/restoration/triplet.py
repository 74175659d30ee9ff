"""Artifact-Aware Triplet Fusion (Sec. 4.3): one sequence, each segment its own time.

    doublet   [z_ref, z_t]              timesteps [0, t]       the predictor's input
    triplet   [z_ref, z_t, z~_heat(t)]  timesteps [0, t, 0]    the restorer's input

Segments share one grid of positions, so reference and heatmap differ by content alone.
"""

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float
from aw_jax.core.pytrees import pytree, static


@pytree
class Sequence:
    """Tokens of all segments and what each segment is told about noise."""

    tokens: Float[Array, "b m c"]
    """Segments one after another; m is the sum of `segments`."""
    timesteps: Float[Array, "b s"]
    """One per segment: t for the target, 0 for clean context."""
    segments: tuple[int, ...] = static()
    """Tokens of each segment."""

    def __post_init__(self) -> None:
        if sum(self.segments) != self.tokens.shape[1]:
            raise ValueError(
                f"Sequence.segments {self.segments} must add up to the "
                f"{self.tokens.shape[1]} tokens."
            )


TARGET = 1
"""The segment that is generated, in doublets and triplets alike."""


def doublet(
    reference: Float[Array, "b n c"],
    target: Float[Array, "b n c"],
    t: Float[Array, " b"],
) -> Sequence:
    """[z_ref, z_t] with timesteps [0, t]."""
    return _sequence((reference, target), t)


def triplet(
    reference: Float[Array, "b n c"],
    target: Float[Array, "b n c"],
    heatmap: Float[Array, "b n c"],
    t: Float[Array, " b"],
) -> Sequence:
    """[z_ref, z_t, z~_heatmap(t)] with timesteps [0, t, 0]."""
    return _sequence((reference, target, heatmap), t)


def target_slice(
    sequence: Sequence, velocity: Float[Array, "b m c"]
) -> Float[Array, "b n c"]:
    """The part of a predicted velocity that belongs to the target tokens."""
    start = sum(sequence.segments[:TARGET])
    return velocity[:, start : start + sequence.segments[TARGET]]


def _sequence(streams: tuple[Array, ...], t: Float[Array, " b"]) -> Sequence:
    clean = jnp.zeros_like(t)
    times = [t if index == TARGET else clean for index in range(len(streams))]
    return Sequence(
        tokens=jnp.concatenate(streams, axis=1),
        timesteps=jnp.stack(times, axis=1),
        segments=tuple(stream.shape[1] for stream in streams),
    )
