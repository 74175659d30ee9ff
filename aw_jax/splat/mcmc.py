"""3DGS as Markov Chain Monte Carlo at fixed capacity (Kheradmand et al., 2024).

Gaussians are samples, and every step of Adam is one of a random walk: the more
transparent a Gaussian is, the further it is pushed, along its own covariance. Those
that have become transparent move onto others, drawn by opacity, and now and then some
are added in the same way, up to a cap. The r Gaussians that then share one place get

    o' = 1 - (1 - o)^(1/r),   s' = s o / D,
    D = sum_{i=1..r} sum_{k<i} C(i-1, k) (-1)^k o'^(k+1) / sqrt(k+1),

so that together they look like the one they replace. That sum alternates and loses its
digits in float32. With 1/sqrt(k+1) = 2/sqrt(pi) int e^(-(k+1) t^2) dt over t > 0 it is

    D = 2/sqrt(pi) int 1 - (1 - o' e^(-t^2))^r dt,

the light that they stop along a line through their centre; nothing cancels there, and
the trapezoidal rule is exact to rounding.
"""

import functools

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Bool, Float, Int, Key
from aw_jax.core.pytrees import replace
from aw_jax.geometry.rotations import matrix_from_quat
from aw_jax.splat.densify import no_growth
from aw_jax.splat.fit_config import McmcConfig
from aw_jax.splat.fit_state import FitState
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.optimizer import forget

MOST_COPIES = 51
"""r is never taken larger, as in the authors' code."""
SPACING, NODES = 0.1, 50
"""Of the trapezoidal rule: at t = 5 the integrand is below 1e-9."""
STEEPNESS = 100.0
"""Of the sigmoid by which opaque Gaussians do not walk."""


@functools.partial(jax.jit, static_argnames="config", donate_argnames="state")
def refine(state: FitState, key: Key[Array, ""], *, config: McmcConfig) -> FitState:
    """Moves transparent Gaussians onto others, then adds some."""
    to_move, to_add = jax.random.split(key)
    transparent = jax.nn.sigmoid(state.splat.logit_opacities) <= config.min_opacity
    state = _settle(state, state.alive & transparent, to_move, config)
    state = _settle(state, _added(state.alive, config), to_add, config)
    return replace(state, growth=no_growth(len(state.alive)))


def grown(count: Int[Array, ""], config: McmcConfig) -> Int[Array, ""]:
    """How many Gaussians a refinement makes of `count`, if there are rows for them."""
    more = jnp.floor((config.growth - 1) * count).astype(jnp.int32)
    if config.cap is None:
        return count + more
    return count + jnp.clip(config.cap - count, 0, more)


def shared(
    splat: Splat, copies: Int[Array, " g"], *, min_opacity: float
) -> tuple[Float[Array, " g"], Float[Array, "g 3"]]:
    """Opacity logits and log-scales of each of `copies` (r) that replace a Gaussian."""
    logits, r = splat.logit_opacities, jnp.minimum(copies, MOST_COPIES)
    opacities = -jnp.expm1(jax.nn.log_sigmoid(-logits) / r)
    shrink = jax.nn.log_sigmoid(logits) - jnp.log(_stopped(opacities, r))
    almost = 1 - jnp.finfo(jnp.float32).eps
    opacities = jnp.clip(opacities, min_opacity, almost)
    logits = jnp.log(opacities) - jnp.log1p(-opacities)
    return logits, splat.log_scales + shrink[:, None]


def walked(
    splat: Splat,
    alive: Bool[Array, " g"],
    key: Key[Array, ""],
    *,
    size: Float[Array, ""],
    min_opacity: float,
) -> Splat:
    """Means moved by S e sigmoid(-100 (o - min_opacity)) size, e ~ N(0, I).

    S is the covariance (world units squared), so `size` is in 1 / world units.
    """
    axes = matrix_from_quat(splat.quats) * jnp.exp(splat.log_scales)[:, None, :]
    opacities = jax.nn.sigmoid(splat.logit_opacities)
    faint = jax.nn.sigmoid(-STEEPNESS * (opacities - min_opacity))
    draws = size * faint[:, None] * jax.random.normal(key, splat.means.shape)
    offsets = jnp.einsum("gij,gkj,gk->gi", axes, axes, draws, precision="highest")
    return replace(splat, means=splat.means + jnp.where(alive[:, None], offsets, 0))


def tax(
    splat: Splat,
    alive: Bool[Array, " g"],
    *,
    scene_scale: Float[Array, ""],
    config: McmcConfig,
) -> Float[Array, ""]:
    """What being opaque and being large costs, averaged over the living."""
    count = jnp.maximum(jnp.sum(alive), 1)
    scales = jnp.mean(jnp.exp(splat.log_scales), axis=-1) / scene_scale
    costs = config.opacity_weight * jax.nn.sigmoid(splat.logit_opacities)
    costs = costs + config.scale_weight * scales
    return jnp.sum(jnp.where(alive, costs, 0)) / count


def _settle(
    state: FitState,
    rows: Bool[Array, " g"],
    key: Key[Array, ""],
    config: McmcConfig,
) -> FitState:
    """Fills `rows` with copies of other Gaussians, each drawn by its opacity."""
    size, opacities = len(rows), jax.nn.sigmoid(state.splat.logit_opacities)
    weights = jnp.where(state.alive & ~rows, opacities, 0)
    rows = rows & (jnp.sum(weights) > 0)
    sources = jax.random.choice(key, size, (size,), p=weights)
    into = jnp.where(rows, sources, size)  # out of range: dropped
    copies = jnp.ones(size, jnp.int32).at[into].add(1, mode="drop")
    logits, log_scales = shared(state.splat, copies, min_opacity=config.min_opacity)
    chosen = copies > 1
    splat = replace(
        state.splat,
        logit_opacities=jnp.where(chosen, logits, state.splat.logit_opacities),
        log_scales=jnp.where(chosen[:, None], log_scales, state.splat.log_scales),
    )
    expand = lambda x: rows.reshape(-1, *[1] * (x.ndim - 1))
    splat = jax.tree.map(lambda x: jnp.where(expand(x), x[sources], x), splat)
    return replace(
        state,
        splat=splat,
        alive=state.alive | rows,
        moments=forget(state.moments, rows | chosen),
    )


def _added(alive: Bool[Array, " g"], config: McmcConfig) -> Bool[Array, " g"]:
    """The dead rows that a refinement brings to life, the first ones."""
    count = jnp.sum(alive)
    return ~alive & (jnp.cumsum(~alive) <= grown(count, config) - count)


def _stopped(opacity: Float[Array, " g"], r: Int[Array, " g"]) -> Float[Array, " g"]:
    """D of the module's docstring."""
    t = SPACING * jnp.arange(NODES)
    weights = jnp.full(NODES, SPACING).at[0].set(SPACING / 2)
    through = r[:, None] * jnp.log1p(-opacity[:, None] * jnp.exp(-(t**2)))
    return 2 / jnp.sqrt(jnp.pi) * jnp.sum(-weights * jnp.expm1(through), axis=-1)
