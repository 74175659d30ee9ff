"""The gradient written out for GELU is that of its definition."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.nn.feedforward import gelu


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gelu_has_the_gradient_of_its_definition(dtype):
    x = jnp.linspace(-6, 6, 64).astype(dtype)
    outer = jax.random.normal(jax.random.key(0), x.shape).astype(dtype)
    wanted, pull = jax.vjp(functools.partial(jax.nn.gelu, approximate=True), x)
    got, ours = jax.vjp(gelu, x)
    np.testing.assert_array_equal(got, wanted)
    (got,), (wanted,) = ours(outer), pull(outer)
    assert got.dtype == wanted.dtype
    atol = 1e-6 if dtype == "float32" else 3e-2
    np.testing.assert_allclose(*(x.astype(float) for x in (got, wanted)), atol=atol)
