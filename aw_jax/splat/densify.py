"""Adaptive density control at fixed capacity (Kerbl et al., 2023, Sec. 5.2).

Gaussians whose mean wants to move on the screen are doubled: small ones are cloned in
place, large ones split in two that are drawn from them. Transparent and oversized ones
are removed. No shape changes: a row is alive or dead, the k-th Gaussian to be doubled
gets the k-th dead row, and when rows run out those with the largest gradients go first.

Transparent Gaussians go before anything grows, which frees their rows; their doubles
would go with them, so the outcome is that of growing first.
"""

import functools

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Bool, Float, Int, Key
from aw_jax.core.pytrees import pytree, replace
from aw_jax.geometry.rotations import matrix_from_quat
from aw_jax.splat.fit_config import DensifyConfig
from aw_jax.splat.fit_state import FitState, Growth
from aw_jax.splat.gaussians import DEAD_LOGIT, Splat
from aw_jax.splat.optimizer import forget


@pytree
class Births:
    """Which rows are doubled, and into which: the first `count` entries of both."""

    parents: Int[Array, " g"]
    rows: Int[Array, " g"]
    count: Int[Array, ""]


def no_growth(capacity: int) -> Growth:
    """Statistics of no render at all."""
    return Growth(gradient=jnp.zeros(capacity), visits=jnp.zeros(capacity))


@functools.partial(jax.jit, static_argnames="config", donate_argnames="state")
def refine(
    state: FitState,
    key: Key[Array, ""],
    *,
    oversized: Bool[Array, ""] | bool,
    config: DensifyConfig,
) -> FitState:
    """Removes, doubles, and starts new statistics; `oversized` removes by size too."""
    opacities = jax.nn.sigmoid(state.splat.logit_opacities)
    state = _bury(state, opacities < config.prune_opacity)
    state = _grow(state, key, config)
    huge = _longest(state.splat) > config.prune_scale * state.scene_scale
    state = _bury(state, huge & oversized)
    return replace(state, growth=no_growth(len(state.alive)))


@functools.partial(jax.jit, static_argnames="config")
def grown(state: FitState, *, config: DensifyConfig) -> Int[Array, ""]:
    """How many Gaussians `refine` makes, large ones included, if rows never run out."""
    opacities = jax.nn.sigmoid(state.splat.logit_opacities)
    kept = state.alive & ~(opacities < config.prune_opacity)
    return jnp.sum(kept) + jnp.sum(
        kept & (_mean_gradient(state.growth) > config.gradient)
    )


@functools.partial(jax.jit, static_argnames="config", donate_argnames="state")
def reset_opacities(state: FitState, *, config: DensifyConfig) -> FitState:
    """Lowers all opacities, so that only what the images need comes back."""
    highest = jax.scipy.special.logit(config.reset_opacity)
    logits = jnp.minimum(state.splat.logit_opacities, highest)
    zeroed = lambda s: replace(s, logit_opacities=jnp.zeros_like(logits))
    moments = replace(
        state.moments,
        mean=zeroed(state.moments.mean),
        square=zeroed(state.moments.square),
    )
    splat = replace(state.splat, logit_opacities=logits)
    return replace(state, splat=splat, moments=moments)


def _bury(state: FitState, rows: Bool[Array, " g"]) -> FitState:
    """Makes `rows` dead: transparent, still, without a past."""
    logits = jnp.where(rows, DEAD_LOGIT, state.splat.logit_opacities)
    return replace(
        state,
        splat=replace(state.splat, logit_opacities=logits),
        alive=state.alive & ~rows,
        moments=forget(state.moments, rows),
    )


def _grow(state: FitState, key: Key[Array, ""], config: DensifyConfig) -> FitState:
    """Clones and splits the Gaussians whose mean gradient is above the threshold."""
    capacity = len(state.alive)
    births = _births(state, config)
    born = jnp.arange(capacity) < births.count
    into = jnp.where(born, births.rows, capacity)  # out of range: dropped
    doubled = _mask(jnp.where(born, births.parents, capacity), capacity)
    split = doubled & (_longest(state.splat) > config.split_scale * state.scene_scale)
    first, second = _halves(state.splat, split, key, config.split_shrink)
    splat = jax.tree.map(
        lambda a, b: a.at[into].set(b[births.parents], mode="drop"), first, second
    )
    new = _mask(into, capacity)
    return replace(
        state,
        splat=splat,
        alive=state.alive | new,
        moments=forget(state.moments, new | split),
    )


def _births(state: FitState, config: DensifyConfig) -> Births:
    gradient = _mean_gradient(state.growth)
    wanted = state.alive & (gradient > config.gradient)
    parents = jnp.argsort(jnp.where(wanted, -gradient, jnp.inf))
    rows = jnp.argsort(state.alive)  # dead ones first, in order
    count = jnp.minimum(jnp.sum(wanted), jnp.sum(~state.alive))
    return Births(parents=parents, rows=rows, count=count)


def _mean_gradient(growth: Growth) -> Float[Array, " g"]:
    """Mean |dL/dmean| on the screen per render that drew the Gaussian."""
    seen = jnp.maximum(growth.visits, jnp.finfo(jnp.float32).tiny)
    return growth.gradient / seen


def _halves(
    splat: Splat, split: Bool[Array, " g"], key: Key[Array, ""], shrink: float
) -> tuple[Splat, Splat]:
    """Two draws from every Gaussian of `split`; two copies of every other one."""
    axes = matrix_from_quat(splat.quats) * jnp.exp(splat.log_scales)[:, None, :]
    draws = jax.random.normal(key, (2, *splat.means.shape))
    offsets = jnp.einsum("gij,ngj->ngi", axes, draws, precision="highest")
    offsets = jnp.where(split[:, None], offsets, 0)
    log_scales = splat.log_scales - jnp.where(split, jnp.log(shrink), 0)[:, None]
    shrunk = replace(splat, log_scales=log_scales)
    return (
        replace(shrunk, means=splat.means + offsets[0]),
        replace(shrunk, means=splat.means + offsets[1]),
    )


def _longest(splat: Splat) -> Float[Array, " g"]:
    """The largest standard deviation of every Gaussian (world units)."""
    return jnp.exp(jnp.max(splat.log_scales, axis=-1))


def _mask(index: Int[Array, " n"], size: int) -> Bool[Array, " g"]:
    """True at `index`; entries that are out of range are dropped."""
    return jnp.zeros(size, bool).at[index].set(True, mode="drop")
