import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core import numerics

VECTORS = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, 3)), jnp.float32)


def by_components(x):
    return jnp.stack(numerics.unit_components(numerics.components(x)), axis=-1)


def test_unit_by_components_is_unit_with_its_gradient():
    weights = jnp.arange(VECTORS.size, dtype=jnp.float32).reshape(VECTORS.shape)
    scalar = lambda f: lambda x: jnp.vdot(f(x), weights)
    np.testing.assert_allclose(
        by_components(VECTORS), numerics.unit(VECTORS), rtol=1e-6
    )
    np.testing.assert_allclose(
        jax.grad(scalar(by_components))(VECTORS),
        jax.grad(scalar(numerics.unit))(VECTORS),
        rtol=1e-3,
        atol=1e-4,
    )


def test_the_zero_vector_stays_zero_with_a_finite_gradient():
    zero = jnp.zeros((1, 3))
    for f in (by_components, numerics.unit):
        np.testing.assert_array_equal(f(zero), zero)
        assert jnp.all(jnp.isfinite(jax.grad(lambda x, f=f: f(x).sum())(zero)))
