"""Coarse and fine in a clip's frames, for the statistics."""

import numpy as np
from scipy import ndimage

from aw_jax.core.arrays import Float

COARSE = 2.0
"""Standard deviation, in pixels, of what counts as coarse."""


def coarse(
    x: Float[np.ndarray, "f h w c"], width: float = COARSE
) -> Float[np.ndarray, "f h w c"]:
    """Each frame without what is finer than `width` (a deviation in pixels)."""
    return ndimage.gaussian_filter(x, (0, width, width, 0))


def detail(x: Float[np.ndarray, "f h w 3"]) -> Float[np.ndarray, "f h w"]:
    """Size of what is finer than a pixel or so, around each, mean over channels."""
    return coarse(np.abs(x - ndimage.gaussian_filter(x, (0, 1, 1, 0)))).mean(axis=-1)
