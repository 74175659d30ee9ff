"""Pearson correlation of predicted heatmaps with the pseudo ground truth (Sec. 5.4).

One value a clip over all its pixels, then the mean over clips; and one value pooled
over all pixels of all clips. A clip whose prediction or truth is constant has no
correlation: it is left out of the mean and counted.
"""

from dataclasses import dataclass

import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.metrics.accumulators import Mean, mean_of


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Sums over pairs (x, y), in float64."""

    count: int = 0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    yy: float = 0.0
    xy: float = 0.0

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            count=self.count + other.count,
            x=self.x + other.x,
            y=self.y + other.y,
            xx=self.xx + other.xx,
            yy=self.yy + other.yy,
            xy=self.xy + other.xy,
        )

    @property
    def correlation(self) -> float | None:
        """The correlation of x and y, or None where either is constant."""
        if not self.count:
            return None
        n = self.count
        x_variance = self.xx / n - (self.x / n) ** 2
        y_variance = self.yy / n - (self.y / n) ** 2
        if x_variance <= 1e-12 * self.xx / n or y_variance <= 1e-12 * self.yy / n:
            return None
        covariance = self.xy / n - self.x / n * self.y / n
        return float(covariance / np.sqrt(x_variance * y_variance))


def moments(
    prediction: Float[np.ndarray, "*b"], truth: Float[np.ndarray, "*b"]
) -> Moments:
    """The moments of one clip, over all its pixels."""
    x, y = prediction.ravel().astype(np.float64), truth.ravel().astype(np.float64)
    return Moments(
        count=x.size,
        x=float(x.sum()),
        y=float(y.sum()),
        xx=float(x @ x),
        yy=float(y @ y),
        xy=float(x @ y),
    )


@dataclass(frozen=True, kw_only=True)
class Pearson:
    """The correlation over a set of clips; `+` merges."""

    clips: Mean = Mean()
    """Of the clips' correlations; `skipped` counts the constant ones."""
    pooled: Moments = Moments()
    """Of all pixels of all clips."""

    def __add__(self, other: "Pearson") -> "Pearson":
        return Pearson(
            clips=self.clips + other.clips, pooled=self.pooled + other.pooled
        )


def pearson_of(clip: Moments) -> Pearson:
    """The accumulator of one clip."""
    return Pearson(clips=mean_of([clip.correlation]), pooled=clip)
