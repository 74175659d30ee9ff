"""The noise levels a sampler visits: from 1 down, the closing 0 included.

All are plain numpy, float64: a schedule is part of the program, not of the data.
(LTX-Video schedulers/rf.py; the distilled checkpoints were trained on
`linear_quadratic(8)` and know no other levels.)
"""

import math

import numpy as np


def uniform(steps: int) -> np.ndarray:
    """1, (steps - 1) / steps, ..., 1 / steps, 0."""
    return np.linspace(1.0, 0.0, steps + 1)


def linear_quadratic(steps: int, *, threshold: float = 0.025) -> np.ndarray:
    """Half the steps go linearly to 1 - threshold, the others quadratically to 0.

    The two pieces meet with equal value and equal slope.
    """
    if steps == 1:
        return np.array([1.0, 0.0])
    linear = steps // 2
    rest = steps - linear
    excess = linear - threshold * steps
    square = excess / (linear * rest**2)
    slope = threshold / linear - 2 * excess / rest**2
    late = np.arange(linear, steps)
    gone = np.concatenate(
        [
            np.arange(linear) * threshold / linear,
            square * late**2 + slope * late + square * linear**2,
            [1.0],
        ]
    )
    return 1 - gone


def shift_of_tokens(tokens: int) -> float:
    """mu, linear in the sequence: 0.95 at 1,024 tokens, 2.05 at 4,096; not clamped."""
    return 0.95 + (2.05 - 0.95) * (tokens - 1024) / (4096 - 1024)


def shifted(
    times: np.ndarray, *, tokens: int, terminal: float | None = None
) -> np.ndarray:
    """SD3's shift e^mu / (e^mu + 1/t - 1): longer sequences spend more steps in noise.

    Args:
        times: levels with the closing 0.
        tokens: of the sequence that is sampled.
        terminal: stretches the levels so that the last one above 0 equals this
            (0.1 in LTX-Video 0.9.0 and 0.9.1).
    """
    gain = math.exp(shift_of_tokens(tokens))
    levels = gain / (gain + 1 / times[:-1] - 1)
    if terminal is not None:
        levels = 1 - (1 - levels) * (1 - terminal) / (1 - levels[-1])
    return np.append(levels, 0.0)
