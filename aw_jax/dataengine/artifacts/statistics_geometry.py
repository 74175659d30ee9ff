"""What shows in pixels, alpha and depth of the four geometric types.

One number a type, 0 where broken and clean are the same, larger where the type shows
more; each looks for what its type does and others do not, or do less.
"""

import numpy as np
from scipy import ndimage

from aw_jax.core.arrays import Float
from aw_jax.dataengine.artifacts.detail import coarse, detail
from aw_jax.dataengine.artifacts.seen import Seen

NEARER = 0.9
"""Of the depth of the surface: what is nearer than that hangs before it."""
FARTHER = 1.1
"""What is farther shows through a hole."""
AROUND = 5
"""Pixels a side of what counts as around."""
VEIL = 0.1
"""Alpha that may be missing without a hole."""
SLIP = 0.4
"""Pixels that an edge may lie elsewhere in another fit."""
LIGHT = 1e-3
"""Detail below this, in [0, 1], is none."""


def floaters(seen: Seen) -> float:
    """Share of pixels in which something hangs before the surface.

    It is nearer than all that the clean frame shows around: where two surfaces meet on
    the screen, a little of the nearer one more is no floater.
    """
    covered = seen.clean_alpha > 0.5
    depth = np.where(seen.clean_depth > 0, seen.clean_depth, np.inf)
    around = ndimage.minimum_filter(depth, size=(1, AROUND, AROUND))
    return float(np.mean(covered & (seen.broken_depth < NEARER * around)))


def dilation(seen: Seen) -> float:
    """Coarse change of color where detail is lost, mean over pixels in [0, 1].

    Blur loses detail and keeps coarse colors; specks change colors and add detail.
    """
    change = np.abs(coarse(seen.broken) - coarse(seen.clean)).mean(axis=-1)
    kept = (detail(seen.broken) + LIGHT) / (detail(seen.clean) + LIGHT)
    return float(np.mean(change * np.clip(1 - kept, 0, 1)))


def needles(seen: Seen) -> float:
    """How streaky the change is where detail is put in, less where it is taken out.

    Spikes are drawn over what is there. Edges that are blurred, moved or hidden change
    in streaks as well, but the old edge goes; of spikes so many that they hide edges
    too, that takes off half as much as it would add. Mean over pixels.
    """
    streaks, clean, broken = _streaks(seen), detail(seen.clean), detail(seen.broken)
    gained = np.clip((broken - clean) / (broken + LIGHT), 0, 1)
    lost = np.clip((clean - broken) / (clean + LIGHT), 0, 1)
    return float(np.mean(streaks * (gained - lost / 2)))


def cracks(seen: Seen) -> float:
    """Share of a covered picture that has opened: to nothing, or to what is behind.

    Behind is what is farther than all that the clean frame shows around: where two
    surfaces meet on the screen, depths change for less than a hole.
    """
    covered = seen.clean_alpha > 0.9
    opened = np.clip(seen.clean_alpha - seen.broken_alpha - VEIL, 0, 1) / (1 - VEIL)
    around = ndimage.maximum_filter(seen.clean_depth, size=(1, AROUND, AROUND))
    behind = seen.broken_depth > FARTHER * around
    return float(np.mean(covered * np.maximum(opened, behind)))


def _streaks(seen: Seen) -> Float[np.ndarray, "f h w"]:
    """How much the change around a pixel is in one direction: sqrt(l1) - sqrt(l2).

    l1 >= l2 are the eigenvalues of the structure tensor of broken - clean, in
    (grey levels in [0, 1] a pixel) squared. As much change as edges leave that lie
    `SLIP` off is none: two fits to the same photos differ by streaks along edges.
    """
    broken, clean = (x.mean(axis=-1) for x in (seen.broken, seen.clean))
    y, x = np.gradient(_less(broken - clean, SLIP * _slope(clean)), axis=(1, 2))
    yy, yx, xx = (coarse(v[..., None])[..., 0] for v in (y * y, y * x, x * x))
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, yx)
    return np.sqrt(middle + half) - np.sqrt(np.maximum(middle - half, 0))


def _less(
    change: Float[np.ndarray, "f h w"], slack: Float[np.ndarray, "f h w"]
) -> Float[np.ndarray, "f h w"]:
    """The change beyond `slack`, either way."""
    return np.sign(change) * np.maximum(np.abs(change) - slack, 0)


def _slope(x: Float[np.ndarray, "f h w"]) -> Float[np.ndarray, "f h w"]:
    """The steepest that is next to each pixel, a pixel."""
    steep = np.hypot(*np.gradient(x, axis=(1, 2)))
    return ndimage.maximum_filter(steep, size=(1, 3, 3))
