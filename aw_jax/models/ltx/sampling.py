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
    skip_first: int = 0
    """Steps left out at the noisy end, to start from noised tokens."""
    skip_last: int = 0
    """Steps left out at the clean end: the last one that is kept goes to 0."""

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
        skips = (self.skip_first, self.skip_last)
        if min(skips) < 0 or sum(skips) >= self.steps:
            raise UserError(
                "SamplerConfig.skip_first and skip_last must be at least 0 and leave "
                f"one of {self.steps} steps, got {skips[0]} and {skips[1]}."
            )


def times(config: SamplerConfig, *, tokens: int) -> np.ndarray:
    """The levels from `start` down to 0; those above it and skipped ones dropped."""
    if config.schedule == "linear_quadratic":
        levels = schedules.linear_quadratic(config.steps)
    else:
        levels = schedules.uniform(config.steps)
    if config.schedule == "sd3":
        levels = schedules.shifted(levels, tokens=tokens, terminal=config.terminal)
    last = config.steps - config.skip_last
    levels = np.append(levels[config.skip_first : last], 0.0)
    if config.start >= levels[0]:
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
        init: tokens to start from, noised to the first level; required below 1.

    Raises:
        UserError: a first level below 1 without tokens to start from.
    """
    levels = times(config, tokens=noise.shape[1])
    return solver.euler(velocity, begin(noise, levels, init=init), levels)


def begin(
    noise: Float[Array, "*z"], levels: np.ndarray, *, init: Float[Array, "*z"] | None
) -> Float[Array, "*z"]:
    """What sampling starts from: noise, or `init` noised to the first level.

    Raises:
        UserError: a first level below 1 without tokens to start from.
    """
    if init is not None:
        return path.interpolate(init, noise, jnp.float32(levels[0]))
    if levels[0] < 1:
        raise UserError(
            f"SamplerConfig starts at level {levels[0]:.4g}: pass the tokens to start "
            "from, or set start to 1 and skip_first to 0."
        )
    return noise
