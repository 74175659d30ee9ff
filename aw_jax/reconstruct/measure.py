"""Figures of a splat on views: frames quantised first, then means over views.

Masked pixels count as right. Those outside an undistorted photo, of no weight in a fit,
are measured against the border's colour, as any tool would that reads our frames.
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
    """The renders, but the photo itself where it is masked."""
    found = []
    for seen, group in zip(renders(splat, targets), targets, strict=True):
        shown = None if group.masked is None else 1.0 - group.masked
        found.append(np.asarray(completed(jnp.asarray(seen), group.images, shown)))
    return found


def mean_psnr(splat: Splat, targets: Sequence[Targets]) -> float:
    """PSNR over the views of all sizes, the mean over views."""
    values = [
        float(psnr(jnp.asarray(seen[i]), group.images[i]))
        for seen, group in zip(comparable(splat, targets), targets, strict=True)
        for i in range(len(seen))
    ]
    return float(np.mean(values))
