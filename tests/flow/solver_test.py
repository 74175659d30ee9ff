"""Euler's steps: exact on straight paths, each token at its own level."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.flow import path, schedules, solver


@pytest.fixture
def pair():
    return jax.random.normal(jax.random.key(0), (2, 2, 6, 3))


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_the_true_velocity_leads_to_the_data_in_any_number_of_steps(pair, steps):
    data, noise = pair
    times = schedules.linear_quadratic(steps)
    got = solver.euler(lambda z, t: (z - data) / t, noise, times)
    np.testing.assert_allclose(got, data, atol=1e-5)


def test_levels_are_handed_to_the_velocity_in_order(pair):
    _, noise = pair
    times = schedules.uniform(4)
    got = solver.euler(jnp.full_like, noise, times)
    # The sum of (t - t') t over 1, 3/4, 1/2, 1/4.
    np.testing.assert_allclose(got, noise - 0.625, atol=1e-6)


def test_every_token_steps_from_its_own_level(pair):
    data, noise = pair
    times = schedules.uniform(4)
    t = jnp.array([[1.0, 0.75, 0.5, 0.25, 0.6, 0.0]] * 2)
    below = solver.next_lower(t, times)
    np.testing.assert_allclose(below[0], [0.75, 0.5, 0.25, 0.0, 0.5, 0.0])
    z = path.interpolate(data, noise, t)
    got = solver.step(z, path.velocity(data, noise), t, below)
    np.testing.assert_allclose(got, path.interpolate(data, noise, below), atol=1e-6)
    np.testing.assert_array_equal(got[:, -1], data[:, -1])


def test_a_stochastic_step_keeps_the_data_and_draws_the_noise_anew(pair):
    data, noise = pair
    fresh = jax.random.normal(jax.random.key(1), noise.shape)
    t = jnp.array([[1.0, 0.75, 0.5, 0.25, 0.6, 0.4]] * 2)
    below = jnp.array([[0.75, 0.5, 0.25, 0.0, 0.5, 0.25]] * 2)
    z, v = path.interpolate(data, noise, t), path.velocity(data, noise)
    got = solver.stochastic_step(z, v, t, below, fresh)
    np.testing.assert_allclose(got, path.interpolate(data, fresh, below), atol=1e-6)
