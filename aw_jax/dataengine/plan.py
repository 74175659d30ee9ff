"""Which artifact types a clip shows, and how badly: a pure function of its number.

Clips come in rounds. In a round the types stand on a circle, in an order of its own;
clips of every asked number of types take turns, and each takes the types that follow
those of the clip before it. A round ends when the circle has been walked a whole number
of times: every type is then in equally many clips, not merely in expectation.

Severities are Beta(1.5, 1.5). A clip that the gate refuses is tried again with its own
types, at other severities, so that refusals do not unbalance the types.
"""

import dataclasses
import math

import numpy as np

from aw_jax.dataengine.artifacts.breaking import EDITS, SETTINGS

TYPES = tuple(dict.fromkeys((*EDITS, "aliasing")))
"""All that `breaking.broken_clip` can break."""
SHAPE = 1.5
LEAST = 1e-3
"""No severity is below it: the type shows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """What clips of routes (b) and (c) show."""

    types: tuple[str, ...] = TYPES
    fewest: int = 1
    """Types in a clip."""
    most: int = len(TYPES)
    attempts: int = 4
    """Of a clip, until it is given up."""
    gentler: float = 0.6
    """What severities are multiplied by after every attempt that is too broken, and
    their distance from 1 after one that is hardly broken."""
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = sorted(set(self.types) - set(TYPES))
        if unknown or len(set(self.types)) != len(self.types):
            raise ValueError(
                f"PlanConfig.types: expected some of {', '.join(TYPES)}, each once, "
                f"got {', '.join(self.types)}."
            )
        if not 1 <= self.fewest <= self.most <= len(self.types):
            raise ValueError(
                "PlanConfig: expected 1 <= fewest <= most <= number of types, got "
                f"{self.fewest}, {self.most}, {len(self.types)}."
            )
        if self.attempts < 1:
            raise ValueError(
                f"PlanConfig.attempts must be positive, got {self.attempts}."
            )

    @property
    def round(self) -> int:
        """Clips until every type was shown equally often."""
        sizes = range(self.fewest, self.most + 1)
        walked = math.gcd(sum(sizes), len(self.types))
        return len(sizes) * len(self.types) // walked


def types_of(clip: int, config: PlanConfig) -> tuple[str, ...]:
    """The types that clip number `clip` shows."""
    number, place = divmod(clip, config.round)
    rng = np.random.default_rng([config.seed, 1, number])
    circle = rng.permutation(len(config.types))
    sizes = rng.permutation(np.arange(config.fewest, config.most + 1))
    before = [int(sizes[i % len(sizes)]) for i in range(place + 1)]
    first = sum(before[:-1])
    at = [circle[(first + i) % len(circle)] for i in range(before[-1])]
    return tuple(config.types[i] for i in sorted(at))


def severities(
    clip: int, config: PlanConfig, *, attempt: int = 0, broken: int = 0, hardly: int = 0
) -> dict[str, float]:
    """Severities by type.

    Args:
        clip: Its number in the whole run.
        config: The plan.
        attempt: Which draw, from 0.
        broken: How many earlier attempts were too broken.
        hardly: How many were hardly broken.
    """
    names = types_of(clip, config)
    rng = np.random.default_rng([config.seed, 2, clip, attempt])
    drawn = rng.beta(SHAPE, SHAPE, size=len(names)) * config.gentler**broken
    drawn = 1 - (1 - drawn) * config.gentler**hardly
    pairs = zip(names, np.maximum(drawn, LEAST).tolist(), strict=True)
    return {name: round(value, 4) for name, value in pairs}


def route_of(types: tuple[str, ...]) -> str:
    """Which way of breaking types belong to: (b), (c), or both."""
    by_settings = [name in SETTINGS for name in types]
    if all(by_settings):
        return "settings"
    return "mixed" if any(by_settings) else "perturbation"
