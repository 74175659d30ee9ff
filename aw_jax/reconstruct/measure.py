"""Figures of a splat on views: frames quantised first, then means over views.

Pixels that do not count (masked, or outside an undistorted photo) count as right.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.images.psnr import psnr
from aw_jax.images.quantise import dequantise, quantise
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.loss import completed
from aw_jax.splat.rasterize import render
from aw_jax.splat.targets import Targets


def renders(
    splat: Splat, targets: Sequence[Targets]
) -> list[Float[np.ndarray, "v h w 3"]]:
    """The views as the splat shows them, in eight bits, one stack a size."""
    found = []
    for group in targets:
        views = range(len(group.images))
        frames = [render(splat, group.cameras[i]).color for i in views]
        found.append(np.stack([dequantise(quantise(frame)) for frame in frames]))
    return found


def comparable(
    splat: Splat, targets: Sequence[Targets]
) -> list[Float[np.ndarray, "v h w 3"]]:
    """The renders, but the photo itself where its pixels do not count, as in a fit."""
    return [
        np.asarray(completed(jnp.asarray(seen), group.images, group.weights))
        for seen, group in zip(renders(splat, targets), targets, strict=True)
    ]


def mean_psnr(splat: Splat, targets: Sequence[Targets]) -> float:
    """PSNR over the views of all sizes, the mean over views."""
    values = [
        float(psnr(jnp.asarray(seen[i]), group.images[i]))
        for seen, group in zip(comparable(splat, targets), targets, strict=True)
        for i in range(len(seen))
    ]
    return float(np.mean(values))
