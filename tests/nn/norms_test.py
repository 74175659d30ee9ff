"""The gradient that norms write out is that of their definition."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.nn.norms import layer_norm, rms_norm

EPS = 0.1  # Large, so that a gradient without it would show.


def by_hand(x, *gain, centred):
    x = x - x.mean(-1, keepdims=True) if centred else x
    return math.prod(gain, start=x / jnp.sqrt((x**2).mean(-1, keepdims=True) + EPS))


# No gain, one for all, one a row, one for everything.
@pytest.mark.parametrize("shape", [None, (7,), (2, 1, 7), (2, 3, 7)])
@pytest.mark.parametrize("centred", [False, True])
def test_values_and_gradients_follow_the_definition(centred, shape):
    x, outer = jax.random.normal(jax.random.key(0), (2, 2, 3, 7))
    gain = () if shape is None else (jax.random.normal(jax.random.key(1), shape),)
    norm = functools.partial(layer_norm if centred else rms_norm, eps=EPS)
    wanted, pull = jax.vjp(functools.partial(by_hand, centred=centred), x, *gain)
    got, ours = jax.vjp(norm, x, *gain)
    close = functools.partial(np.testing.assert_allclose, atol=2e-6)
    jax.tree.map(close, (got, ours(outer)), (wanted, pull(outer)))
