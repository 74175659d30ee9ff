"""AdamW with warm-up, decay to a share of the peak, and clipping by global norm."""

import dataclasses
from typing import Literal

import optax


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The paper's AdamW at 3e-4, constant, is the default (Sec. 5.1)."""

    learning_rate: float = 3e-4
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: int = 0
    """Steps of linear warm-up."""
    final_share: float = 0.0
    """Share of the peak that `cosine` ends at."""
    b1: float = 0.9
    b2: float = 0.999
    weight_decay: float = 0.0
    clip: float = 1.0
    """Largest global norm of a gradient."""
    average_decay: float = 0.999
    """Decay of the moving average of the parameters."""


def learning_rate(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """The learning rate as a function of the update, over `steps` in all."""
    if config.schedule == "constant":
        after = optax.constant_schedule(config.learning_rate)
    else:
        span = max(steps - config.warmup, 1)
        after = optax.cosine_decay_schedule(
            config.learning_rate, span, config.final_share
        )
    rise = optax.linear_schedule(0.0, config.learning_rate, max(config.warmup, 1))
    return optax.join_schedules([rise, after], [config.warmup])


def make_optimizer(config: OptimizerConfig, steps: int) -> optax.GradientTransformation:
    """The optimizer of a run of `steps` updates."""
    return optax.chain(
        optax.clip_by_global_norm(config.clip),
        optax.adamw(
            learning_rate(config, steps),
            b1=config.b1,
            b2=config.b2,
            weight_decay=config.weight_decay,
        ),
    )
