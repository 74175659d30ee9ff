"""The one train step: every task of the project hands in its own `loss`."""

from collections.abc import Callable

import jax
import optax

from aw_jax.core.arrays import Array, Float, Key, PyTree
from aw_jax.core.keys import at_step
from aw_jax.train.state import TrainState, apply_gradients

Metrics = dict[str, Float[Array, ""]]
Loss = Callable[
    [PyTree, PyTree, PyTree, Key[Array, ""]], tuple[Float[Array, ""], Metrics]
]
"""(trained, frozen, batch, key) -> the loss and figures to show."""
Step = Callable[
    [TrainState, PyTree, PyTree, Key[Array, ""]], tuple[TrainState, Metrics]
]


def make_step(
    loss: Loss, optimizer: optax.GradientTransformation, *, average_decay: float
) -> Step:
    """Compiles `loss` into a step; the frozen part is an input, never an output."""

    def step(
        state: TrainState, frozen: PyTree, batch: PyTree, key: Key[Array, ""]
    ) -> tuple[TrainState, Metrics]:
        grad_of = jax.value_and_grad(loss, has_aux=True)
        found, gradients = grad_of(
            state.params, frozen, batch, at_step(key, state.step)
        )
        value, metrics = found
        shown = metrics | {"loss": value, "gradient": optax.tree.norm(gradients)}
        state = apply_gradients(
            state, gradients, optimizer, average_decay=average_decay
        )
        return state, shown

    return jax.jit(step, donate_argnums=0)
