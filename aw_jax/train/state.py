"""What a training run carries from step to step."""

import jax
import jax.numpy as jnp
import optax

from aw_jax.core.arrays import Array, Int, PyTree
from aw_jax.core.pytrees import pytree, replace


@pytree
class TrainState:
    """Trainable parameters, their optimizer and their running average."""

    params: PyTree
    """What is trained: an adapter, or a whole model."""
    average: PyTree
    """Exponential moving average of `params`: what is evaluated and shipped."""
    opt_state: PyTree
    step: Int[Array, ""]
    """Updates made so far."""


def initial_state(
    params: PyTree, optimizer: optax.GradientTransformation
) -> TrainState:
    """The state before the first update."""
    return TrainState(
        params=params,
        average=jax.tree.map(jnp.copy, params),
        opt_state=optimizer.init(params),
        step=jnp.zeros((), jnp.int32),
    )


def apply_gradients(
    state: TrainState,
    gradients: PyTree,
    optimizer: optax.GradientTransformation,
    *,
    average_decay: float,
) -> TrainState:
    """One update; the average warms up as (1 + n) / (10 + n) to its decay."""
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    count = state.step.astype(jnp.float32)
    decay = jnp.minimum(average_decay, (1 + count) / (10 + count))
    mix = lambda old, new: (decay * old + (1 - decay) * new).astype(old.dtype)
    return replace(
        state,
        params=params,
        average=jax.tree.map(mix, state.average, params),
        opt_state=opt_state,
        step=state.step + 1,
    )
