"""Rows of a fit: it may start with few, and gets twice as many when it needs them.

Rows are only ever added, at the end and dead, so the living ones keep their bits. What
a refinement chooses is as with all rows at once, for it is never short of any before
`FitConfig.capacity`; but what it draws at random for split Gaussians depends on their
number, so two fits that begin with different numbers part at the first split.
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Int
from aw_jax.core.pytrees import replace
from aw_jax.splat import densify, initialize, mcmc
from aw_jax.splat.fit_config import DensifyConfig, FitConfig, McmcConfig
from aw_jax.splat.fit_state import FitState


def with_rows(state: FitState, rows: int) -> FitState:
    """The fit with dead rows added, up to `rows`; it never loses any."""
    missing = rows - len(state.alive)
    if missing <= 0:
        return state
    zeros = lambda x: jnp.concatenate([x, jnp.zeros((missing, *x.shape[1:]), x.dtype)])
    return replace(
        state,
        splat=initialize.padded(state.splat, rows),
        alive=zeros(state.alive),
        moments=jax.tree.map(zeros, state.moments),
        growth=jax.tree.map(zeros, state.growth),
    )


def ready_to_refine(state: FitState, config: FitConfig) -> FitState:
    """The fit with the rows that its next refinement asks for, if it may have them."""
    return with_rows(state, config.rows(int(_asked(state, config))))


def _asked(state: FitState, config: FitConfig) -> Int[Array, ""]:
    match config.densify:
        case McmcConfig() as chain:
            return mcmc.grown(jnp.sum(state.alive), chain)
        case DensifyConfig() as control:
            return densify.grown(state, config=control)
        case None:
            return jnp.sum(state.alive)
