"""Adam against optax, group by group."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from aw_jax.splat import optimizer
from aw_jax.splat.fit_config import LearningRates
from aw_jax.splat.gaussians import Splat

ADAM = jax.jit(optimizer.adam)


def splat(seed, g=5, u=4):
    keys = jax.random.split(jax.random.key(seed), 5)
    shapes = [(g, 3), (g, 3), (g, 4), (g,), (g, u, 3)]
    means, log_scales, quats, logits, sh = (
        jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)
    )
    return Splat(
        means=means, log_scales=log_scales, quats=quats, logit_opacities=logits, sh=sh
    )


def test_every_group_follows_optax_at_its_own_rate():
    rates, parameters = LearningRates(), splat(0)
    sizes = optimizer.step_sizes(parameters, rates, means=jnp.asarray(1.5))
    ours, moments = parameters, optimizer.zero_moments(parameters)
    peer = optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-15)
    theirs, state = parameters, peer.init(parameters)
    for i in range(3):
        gradient = splat(i + 1)
        ours, moments = ADAM(ours, gradient, moments, sizes, step=jnp.asarray(i))
        direction, state = peer.update(gradient, state)
        theirs = jax.tree.map(lambda x, d, s: x - s * d, theirs, direction, sizes)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6)


def test_first_step_moves_by_the_rates_of_the_paper():
    parameters, gradient = splat(0), splat(1)
    sizes = optimizer.step_sizes(parameters, LearningRates(), means=jnp.asarray(0.2))
    moved, _ = ADAM(
        parameters,
        gradient,
        optimizer.zero_moments(parameters),
        sizes,
        step=jnp.asarray(0),
    )
    length = lambda name: np.abs(getattr(moved, name) - getattr(parameters, name))
    np.testing.assert_allclose(length("means"), 1.6e-4 * 0.2, atol=1e-6)
    np.testing.assert_allclose(length("log_scales"), 5e-3, atol=1e-6)
    np.testing.assert_allclose(length("quats"), 1e-3, atol=1e-6)
    np.testing.assert_allclose(length("logit_opacities"), 5e-2, atol=1e-6)
    np.testing.assert_allclose(length("sh")[:, 0], 2.5e-3, atol=1e-6)
    np.testing.assert_allclose(length("sh")[:, 1:], 1.25e-4, atol=1e-6)


def test_rows_without_gradient_and_past_stay_to_the_bit():
    parameters = splat(0)
    still = jax.tree.map(jnp.zeros_like, parameters)
    sizes = optimizer.step_sizes(parameters, LearningRates(), means=jnp.ones(()))
    moved, _ = ADAM(
        parameters,
        still,
        optimizer.zero_moments(parameters),
        sizes,
        step=jnp.asarray(7),
    )
    for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(parameters), strict=True):
        np.testing.assert_array_equal(a, b)


def test_forget_zeroes_the_named_rows_only():
    moments = optimizer.Moments(mean=splat(0), square=splat(1))
    rows = jnp.asarray([True, False, False, True, False])
    for old, new in zip(
        jax.tree.leaves(moments),
        jax.tree.leaves(optimizer.forget(moments, rows)),
        strict=True,
    ):
        assert not new[rows].any()
        np.testing.assert_array_equal(new[~rows], old[~rows])
