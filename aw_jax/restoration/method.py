"""The choices of the method in one place, and how a model sees a sequence."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float
from aw_jax.restoration.anchoring import AnchoringConfig
from aw_jax.restoration.heatmap import HeatmapSchedule
from aw_jax.restoration.objective import Velocity
from aw_jax.restoration.triplet import Sequence

Source = Literal["noise", "artifact", "ridge"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """How predictor and restorer work; the defaults are the paper's."""

    anchoring: AnchoringConfig = AnchoringConfig()
    schedule: HeatmapSchedule = HeatmapSchedule()
    source: Source = "noise"
    """z_1, where the path starts. `artifact` starts at the artifact's latents: then the
    velocity is the residual that the artifact added, and one step is a regression. Not
    the paper's; small models need it. `ridge` starts at the target's linear estimate of
    ridge.py: then the model adds what is not linear."""
    bypass: bool = False
    """Add the decoded change to the artifact's own pixels, so that what the video VAE
    loses is not lost. Not the paper's; for a VAE that loses much."""
    steps: int = 8
    """Steps of the sampler, uniform from t = 1."""
    fps: float = 24.0
    """Frames per second that positions in time are told in."""
    segment_offset: float = 0.0
    """Seconds added to the time coordinate per segment; 0 shares one grid."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"MethodConfig.steps must be positive, got {self.steps}.")


def bind(
    model: Callable[..., Float[Array, "b m c"]],
    *,
    prompt: Float[Array, "l t"],
    coords: Float[Array, "n 3"],
    segment_offset: float = 0.0,
) -> Velocity:
    """The model as a function of the sequence alone.

    Args:
        model: a transformer with its adapter chosen.
        prompt: embedding of the one prompt.
        coords: positions (seconds, pixels, pixels) of the tokens of one segment.
        segment_offset: seconds between the grids of two segments.
    """

    def velocity(sequence: Sequence) -> Float[Array, "b m c"]:
        batch = sequence.tokens.shape[0]
        shift = jnp.asarray([segment_offset, 0.0, 0.0])
        grids = [coords + i * shift for i in range(len(sequence.segments))]
        grid = jnp.concatenate(grids)
        return model(
            sequence.tokens,
            jnp.broadcast_to(grid, (batch, *grid.shape)),
            sequence.timesteps,
            jnp.broadcast_to(prompt, (batch, *prompt.shape)),
            segments=sequence.segments,
        )

    return velocity
