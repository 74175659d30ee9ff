"""A scene as 3D Gaussians, in the parameterisation of the Inria .ply files."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Bool, Float, Int
from aw_jax.core.pytrees import pytree

DEAD_LOGIT = -20.0
"""The opacity logit of a padding row: far below 1/255, so it is never drawn."""


@pytree
class Splat:
    """3D Gaussians in the world's frame and units; raw, unconstrained parameters."""

    means: Float[Array, "g 3"]
    """Centres."""
    log_scales: Float[Array, "g 3"]
    """Natural logarithm of the standard deviations along the Gaussian's own axes."""
    quats: Float[Array, "g 4"]
    """Rotation of those axes, wxyz, of any positive length."""
    logit_opacities: Float[Array, " g"]
    """Opacity before the sigmoid."""
    sh: Float[Array, "g u 3"]
    """Color as real spherical harmonics, constant term first; u = (degree + 1)^2."""


def sh_degree(splat: Splat) -> int:
    """The spherical-harmonic degree that the splat stores."""
    return math.isqrt(splat.sh.shape[-2]) - 1


def empty(*, degree: int = 3) -> Splat:
    """A splat without Gaussians."""
    return Splat(
        means=jnp.zeros((0, 3)),
        log_scales=jnp.zeros((0, 3)),
        quats=jnp.zeros((0, 4)),
        logit_opacities=jnp.zeros((0,)),
        sh=jnp.zeros((0, (degree + 1) ** 2, 3)),
    )


def concatenate(splats: Sequence[Splat]) -> Splat:
    """All Gaussians of `splats`, in order; they must share one harmonic degree."""
    return jax.tree.map(lambda *rows: jnp.concatenate(rows), *splats)


def take(splat: Splat, index: Int[Array, " n"] | Bool[Array, " g"] | slice) -> Splat:
    """The Gaussians at `index`: positions, a slice, or (outside jit) a mask."""
    return jax.tree.map(lambda rows: rows[index], splat)
