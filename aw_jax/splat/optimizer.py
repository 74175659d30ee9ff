"""Adam over a splat, one step size per group of parameters (Kingma and Ba, 2015).

What a fit learns of its photos goes through the same Adam.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Bool, Float, Int, PyTree
from aw_jax.core.pytrees import pytree
from aw_jax.splat.fit_config import LearningRates
from aw_jax.splat.gaussians import Splat

Parameters = TypeVar("Parameters")
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15


@pytree
class Moments:
    """Running means of the gradient and of its square, shaped like the parameters."""

    mean: PyTree
    square: PyTree


def zero_moments(parameters: PyTree) -> Moments:
    """The moments before the first step."""
    zeros = lambda: jax.tree.map(jnp.zeros_like, parameters)
    return Moments(mean=zeros(), square=zeros())


def forget(moments: Moments, rows: Bool[Array, " g"]) -> Moments:
    """The moments with those of `rows` at zero, as for a Gaussian just born."""
    expand = lambda x: rows.reshape(-1, *[1] * (x.ndim - 1))
    return jax.tree.map(lambda x: jnp.where(expand(x), 0, x), moments)


def step_sizes(
    splat: Splat, rates: LearningRates, *, means: Float[Array, ""]
) -> PyTree:
    """Sizes that broadcast over `splat`, as a tree; `means` multiplies theirs."""
    coefficients = splat.sh.shape[-2]
    sh = jnp.full((coefficients, 1), rates.sh_rest).at[0].set(rates.sh_constant)
    return jax.tree.unflatten(
        jax.tree.structure(splat),
        [
            rates.means * means,
            rates.log_scales,
            rates.quats,
            rates.logit_opacities,
            sh,
        ],
    )


def adam(
    parameters: Parameters,
    gradient: Parameters,
    moments: Moments,
    sizes: PyTree,
    *,
    step: Int[Array, ""],
) -> tuple[Parameters, Moments]:
    """One step of Adam; `step` counts from 0 and corrects the bias of the moments."""
    mean = jax.tree.map(
        lambda m, g: BETA1 * m + (1 - BETA1) * g, moments.mean, gradient
    )
    square = jax.tree.map(
        lambda v, g: BETA2 * v + (1 - BETA2) * g * g, moments.square, gradient
    )
    count = (step + 1).astype(jnp.float32)
    unbias1 = -1 / jnp.expm1(count * jnp.log(BETA1))
    unbias2 = -1 / jnp.expm1(count * jnp.log(BETA2))
    parameters = jax.tree.map(
        lambda x, m, v, size: (
            x - size * (unbias1 * m) / (jnp.sqrt(unbias2 * v) + EPSILON)
        ),
        parameters,
        mean,
        square,
        sizes,
    )
    return parameters, Moments(mean=mean, square=square)
