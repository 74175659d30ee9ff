"""The straight path: ends, derivative, and the way back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.flow import path


@pytest.fixture
def pair():
    return jax.random.normal(jax.random.key(0), (2, 3, 5, 4))


def test_the_path_runs_from_data_to_noise(pair):
    data, noise = pair
    np.testing.assert_array_equal(path.interpolate(data, noise, jnp.zeros(3)), data)
    np.testing.assert_array_equal(path.interpolate(data, noise, jnp.ones(3)), noise)


@pytest.mark.parametrize("axes", [(), (3,), (3, 5)])
def test_levels_may_be_one_for_all_per_sample_or_per_token(pair, axes):
    data, noise = pair
    t = jax.random.uniform(jax.random.key(1), axes)
    got = path.interpolate(data, noise, t)
    wide = jnp.broadcast_to(t.reshape(axes + (1,) * (3 - len(axes))), data.shape)
    np.testing.assert_allclose(got, (1 - wide) * data + wide * noise, atol=1e-6)


def test_velocity_is_the_derivative_of_the_path(pair):
    data, noise = pair
    t, one = jnp.float32(0.3), jnp.float32(1)
    _, slope = jax.jvp(lambda t: path.interpolate(data, noise, t), (t,), (one,))
    np.testing.assert_allclose(slope, path.velocity(data, noise), atol=1e-6)


def test_the_velocity_points_back_to_the_data(pair):
    data, noise = pair
    t = jnp.array([0.1, 0.6, 1.0])
    z = path.interpolate(data, noise, t)
    back = path.clean(z, path.velocity(data, noise), t)
    np.testing.assert_allclose(back, data, atol=1e-6)
