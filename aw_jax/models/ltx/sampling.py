"""Drawing target tokens: a schedule, a start, and Euler over a velocity.

What surrounds the target (reference, heatmap, text) is the caller's, closed over by the
velocity function, so that a stream which changes with t needs no hook here.
"""

import dataclasses
from typing import Literal

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float
from aw_jax.core.errors import UserError
from aw_jax.flow import path, schedules, solver
from aw_jax.flow.solver import Velocity


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """Which noise levels are visited."""

    schedule: Literal["uniform", "linear_quadratic", "sd3"] = "uniform"
    steps: int = 8
    start: float = 1.0
    """Largest level; below 1 sampling starts from noised tokens (video to video)."""
    terminal: float | None = None
    """Last level above 0 that `sd3` is stretched to (0.1 in 0.9.0 and 0.9.1)."""

    def __post_init__(self) -> None:
        """Refuses an unknown schedule, no steps, or a start outside (0, 1]."""
        known = ("uniform", "linear_quadratic", "sd3")
        if self.schedule not in known:
            raise UserError(
                f"SamplerConfig.schedule must be one of {', '.join(known)}, "
                f"got {self.schedule!r}."
            )
        if self.steps < 1:
            raise UserError(
                f"SamplerConfig.steps must be at least 1, got {self.steps}."
            )
        if not 0 < self.start <= 1:
            raise UserError(f"SamplerConfig.start must be in (0, 1], got {self.start}.")


def times(config: SamplerConfig, *, tokens: int) -> np.ndarray:
    """The levels from `start` down to 0; steps above `start` are dropped."""
    if config.schedule == "linear_quadratic":
        levels = schedules.linear_quadratic(config.steps)
    else:
        levels = schedules.uniform(config.steps)
    if config.schedule == "sd3":
        levels = schedules.shifted(levels, tokens=tokens, terminal=config.terminal)
    if config.start == 1:
        return levels
    return np.concatenate([[config.start], levels[levels < config.start - 1e-6]])


def sample(
    velocity: Velocity,
    noise: Float[Array, "b n c"],
    config: SamplerConfig,
    *,
    init: Float[Array, "b n c"] | None = None,
) -> Float[Array, "b n c"]:
    """Target tokens drawn along `velocity`.

    Args:
        velocity: v(z, t) of the target tokens.
        noise: standard normal, one token each.
        config: the schedule.
        init: tokens to start from, noised to `config.start`; required below 1.

    Raises:
        UserError: a start below 1 without tokens to start from.
    """
    levels = times(config, tokens=noise.shape[1])
    if init is not None:
        noise = path.interpolate(init, noise, jnp.float32(levels[0]))
    elif config.start < 1:
        raise UserError(
            f"SamplerConfig.start is {config.start}: pass the tokens to start from, "
            "or set it to 1."
        )
    return solver.euler(velocity, noise, levels)
