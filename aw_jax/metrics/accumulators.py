"""Sums that shards can add up: means and histograms, merged in any order.

Every accumulator is immutable, holds float64 or exact counts on the host, and merges by
`+`, so that workers' results reduce to what one worker would have found.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aw_jax.core.arrays import Float, Int


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The mean of finite values, with the others counted."""

    total: float = 0.0
    count: int = 0
    skipped: int = 0
    """Values that were infinite or not a number, or None."""

    def __add__(self, other: "Mean") -> "Mean":
        return Mean(
            total=self.total + other.total,
            count=self.count + other.count,
            skipped=self.skipped + other.skipped,
        )

    @property
    def value(self) -> float | None:
        """The mean, or None where nothing was counted."""
        return self.total / self.count if self.count else None


def mean_of(values: Iterable[Any]) -> Mean:
    """The accumulator of `values`: numbers, or None for a value that does not exist."""
    numbers = np.asarray([np.nan if v is None else v for v in values], np.float64)
    finite = numbers[np.isfinite(numbers)]
    return Mean(
        total=float(finite.sum()),
        count=finite.size,
        skipped=numbers.size - finite.size,
    )


BINS, TOP = 1 << 15, 16.0


def _no_counts() -> np.ndarray:
    return np.zeros(BINS, np.int64)


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts of values over 32768 equal bins of [0, 16]; the last holds larger ones."""

    counts: Int[np.ndarray, " n"] = field(default_factory=_no_counts)

    def __add__(self, other: "Histogram") -> "Histogram":
        return Histogram(counts=self.counts + other.counts)

    def quantile(self, share: float) -> float:
        """The value below which `share` of the counts lie, linear inside a bin."""
        below = np.concatenate([[0], np.cumsum(self.counts)])
        target = share * below[-1]
        index = min(int(np.searchsorted(below, target, "right")) - 1, BINS - 1)
        inside = (target - below[index]) / max(self.counts[index], 1)
        return float((index + min(inside, 1.0)) * TOP / BINS)


def histogram_of(values: Float[np.ndarray, "*b"]) -> Histogram:
    """The histogram of non-negative `values`."""
    index = np.clip(values.ravel() * (BINS / TOP), 0, BINS - 1).astype(np.int64)
    return Histogram(counts=np.bincount(index, minlength=BINS))
