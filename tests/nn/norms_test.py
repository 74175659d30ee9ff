"""The gradient that norms write out is that of their definition."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.nn.norms import layer_norm, rms_norm

EPS = 0.1  # Large, so that a gradient without it would show.


def by_hand(x, *, centred):
    x = x - x.mean(-1, keepdims=True) if centred else x
    return x / jnp.sqrt((x**2).mean(-1, keepdims=True) + EPS)


@pytest.mark.parametrize("centred", [False, True])
def test_values_and_gradients_follow_the_definition(centred):
    x, outer = jax.random.normal(jax.random.key(0), (2, 2, 3, 7))
    norm = functools.partial(layer_norm if centred else rms_norm, eps=EPS)
    wanted, pull = jax.vjp(functools.partial(by_hand, centred=centred), x)
    got, ours = jax.vjp(norm, x)
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    np.testing.assert_allclose(ours(outer)[0], pull(outer)[0], atol=1e-6)
