"""Aliasing: pictures of too few samples, without a filter before sampling.

A viewer that renders small and enlarges, or a splat seen from far away without the
low-pass filter of its screen footprint, samples below the Nyquist rate: edges become
stairs, and fine texture flickers as the camera moves.
"""

import dataclasses
import math

STEPS = ((2, 0.1), (2, 0.0), (3, 0.0), (4, 0.0), (5, 0.0))
"""(shrink, low-pass) of severities in equal parts of (0, 1].

splatting.md B3.2 has a shrink of up to 8: of a clip of 96 pixels it leaves a mosaic in
which nothing is recognised."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shot:
    """How frames are taken."""

    shrink: int = 1
    """Frames are rendered at 1/shrink of their size and enlarged by repetition."""
    low_pass: float = 0.3
    """Pixels squared at the rendered size (`RenderSettings.low_pass`)."""


def shot(severity: float) -> Shot:
    """The shot of a severity; there are six, so programs are few."""
    if severity <= 0:
        return Shot()
    shrink, low_pass = STEPS[min(math.ceil(severity * len(STEPS)), len(STEPS)) - 1]
    return Shot(shrink=shrink, low_pass=low_pass)
