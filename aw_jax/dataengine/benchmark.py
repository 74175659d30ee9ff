"""What the restoration benchmark holds: which clips, of which places, broken how.

Thirty clips of each of the nine types alone and ninety of two to nine types together,
all of procedural worlds of the benchmark's own seeds, which no training ever sees. The
plan is a pure function of its config; nothing is rendered here.

A place is a scene that is yet to be found: its candidates are seeds no other place has,
and the first whose clips all pass the gate fills it.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from aw_jax.data.procedural.seeds import BENCHMARK, require
from aw_jax.restoration.taxonomy import NAMES

FEWEST, MOST = 2, len(NAMES)
"""Types of a combined clip."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """How many clips, how badly broken, from how many scenes."""

    single: int = 30
    """Clips of each type alone."""
    combined: int = 90
    """Clips of several types."""
    places: int = 45
    """Scenes that clips are taken from, each its share; no scene gives two clips of one
    type alone."""
    severity: tuple[float, float] = (0.3, 1.0)
    """Of types alone; each type's severities are spread evenly over it."""
    combined_severity: tuple[float, float] = (0.2, 0.7)
    seed: int = 0
    """Of the plan."""

    def __post_init__(self) -> None:
        if not 1 <= self.single <= self.places:
            raise ValueError(
                "BenchmarkConfig: expected 1 <= single <= places, so that no scene "
                f"gives two of one type, got {self.single} and {self.places}."
            )
        for name in ("severity", "combined_severity"):
            low, high = getattr(self, name)
            if not 0 < low <= high <= 1:
                raise ValueError(
                    f"BenchmarkConfig.{name}: expected 0 < low <= high <= 1, got "
                    f"{low}, {high}."
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedClip:
    """One clip, before any scene is looked at."""

    name: str
    """Unique; the order of names is the order of places."""
    place: int
    severities: dict[str, float]
    """Of each artifact type that shows, in the order of the taxonomy."""


def plan(config: BenchmarkConfig) -> list[list[PlannedClip]]:
    """The clips of each place."""
    rng = np.random.default_rng([config.seed, 5])
    singles = _singles(config, rng)
    several = _several(config, rng)
    return [
        [
            PlannedClip(
                name=f"{place:03d}-{index}-{_label(severities)}",
                place=place,
                severities=severities,
            )
            for index, severities in enumerate([*singles[place], *several[place]])
        ]
        for place in range(config.places)
    ]


def candidates(place: int, config: BenchmarkConfig) -> Iterator[int]:
    """The seeds that may fill a place, in order: every `places`-th of the range."""
    for seed in range(BENCHMARK.start + place, BENCHMARK.stop, config.places):
        yield require(seed, "benchmark")


def _label(severities: dict[str, float]) -> str:
    return f"{len(severities)}-types" if len(severities) > 1 else next(iter(severities))


def _singles(
    config: BenchmarkConfig, rng: np.random.Generator
) -> list[list[dict[str, float]]]:
    """By place. Each takes the types of which most are left, chance breaking ties."""
    left = np.full(len(NAMES), config.single)
    spread = [_spread(config.single, config.severity, rng) for _ in NAMES]
    found = []
    for count in _shares(config.single * len(NAMES), config.places):
        picked = np.lexsort((rng.random(len(NAMES)), -left))[:count]
        left[picked] -= 1
        found.append([{NAMES[i]: spread[i][left[i]]} for i in sorted(picked)])
    return found


def _several(
    config: BenchmarkConfig, rng: np.random.Generator
) -> list[list[dict[str, float]]]:
    """By place. Every number of types, and every type, comes about equally often."""
    sizes = rng.permutation(np.arange(config.combined) % (MOST - FEWEST + 1) + FEWEST)
    used = np.zeros(len(NAMES), int)
    found = []
    for size in sizes:
        picked = np.lexsort((rng.random(len(NAMES)), used))[:size]
        used[picked] += 1
        drawn = rng.uniform(*config.combined_severity, size)
        pairs = zip(sorted(picked), drawn, strict=True)
        found.append({NAMES[i]: round(float(x), 4) for i, x in pairs})
    ends = np.cumsum(_shares(config.combined, config.places))
    return [found[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def _spread(
    count: int, bounds: tuple[float, float], rng: np.random.Generator
) -> list[float]:
    """One value in each of `count` equal parts of `bounds`, in no order."""
    shares = (rng.permutation(count) + rng.random(count)) / count
    return [round(float(bounds[0] + x * (bounds[1] - bounds[0])), 4) for x in shares]


def _shares(total: int, parts: int) -> list[int]:
    """`total` in whole parts that differ by at most one."""
    return np.diff(np.arange(parts + 1) * total // parts).tolist()
