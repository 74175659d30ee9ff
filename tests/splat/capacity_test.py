"""Fits that begin with few rows."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.pytrees import replace
from aw_jax.splat import capacity, densify, fit, fit_step, mcmc
from aw_jax.splat.fit_config import DensifyConfig, FitConfig
from aw_jax.splat.fit_state import Growth
from aw_jax.splat.gaussians import DEAD_LOGIT

KEY = jax.random.key(0)
CLONES = DensifyConfig(gradient=1e-3, split_scale=1e9)
"""Never splits, so nothing is drawn."""


def test_rows_double_from_the_first_until_the_capacity():
    config = FitConfig(capacity=100, first_capacity=16)
    counts = (1, 16, 17, 33, 64, 65, 1000)
    assert [config.rows(count) for count in counts] == [16, 16, 32, 64, 64, 100, 100]
    assert FitConfig(capacity=100).rows(1) == 100
    with pytest.raises(ValueError, match="first_capacity must be positive"):
        FitConfig(first_capacity=0)


def test_added_rows_are_dead_and_the_others_keep_their_bits(toy):
    config = dataclasses.replace(toy.CONFIG, first_capacity=40)
    before = toy.begin(config)
    before = replace(before, moments=jax.tree.map(jnp.ones_like, before.moments))
    after = capacity.with_rows(before, 50)
    first = jax.tree.map(lambda x: x[:40] if x.ndim else x, after)
    toy.assert_same_bits(first, before)
    assert not after.alive[40:].any()
    assert (after.splat.logit_opacities[40:] == DEAD_LOGIT).all()
    for leaf in jax.tree.leaves((after.moments, after.growth)):
        assert len(leaf) == 50
        assert not leaf[40:].any()
    assert capacity.with_rows(after, 45) is after


def test_refinement_makes_as_many_as_foretold(toy):
    state = toy.begin()
    draw = np.random.default_rng(0)
    logits = jnp.asarray(draw.normal(-4, 2, 80), jnp.float32)
    growth = Growth(
        gradient=jnp.asarray(draw.exponential(2e-4, 80), jnp.float32),
        visits=jnp.ones(80),
    )
    state = replace(
        state, growth=growth, splat=replace(state.splat, logit_opacities=logits)
    )
    foretold = int(densify.grown(state, config=DensifyConfig()))
    after = densify.refine(state, KEY, oversized=False, config=DensifyConfig())
    assert int(after.alive.sum()) == foretold != 40


def test_a_fit_that_begins_small_is_the_fit_with_all_rows(toy):
    """Up to the order of sums over rows; and every number of rows compiles once."""
    config = dataclasses.replace(toy.CONFIG, densify=CLONES)
    few = dataclasses.replace(config, first_capacity=40)
    run = functools.partial(fit.run, targets=(toy.photos(),), key=KEY)
    step: Any = fit_step.step
    step.clear_cache()
    whole = run(toy.begin(config), config=config, until=45)
    state, sizes = toy.begin(few), []
    for until in (19, 20, 45):
        state = run(state, config=few, until=until)
        sizes.append(len(state.alive))
    assert sizes == [40, 80, 80]
    assert step._cache_size() == 2
    assert int(state.alive.sum()) > 50
    np.testing.assert_array_equal(state.alive, whole.alive)
    for a, b in zip(*map(jax.tree.leaves, (state.splat, whole.splat)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_chain_refines_alike_whatever_the_rows(toy):
    """It draws row by row; again up to the order of sums."""
    config = dataclasses.replace(toy.CONFIG, densify=toy.CHAIN)
    few = toy.begin(dataclasses.replace(config, first_capacity=40))
    few = capacity.ready_to_refine(few, dataclasses.replace(config, capacity=50))
    assert len(few.alive) == 50
    small = mcmc.refine(few, KEY, config=toy.CHAIN)
    large = mcmc.refine(toy.begin(config), KEY, config=toy.CHAIN)
    assert int(small.alive.sum()) == int(large.alive.sum()) == 42
    for a, b in zip(*map(jax.tree.leaves, (small.splat, large.splat)), strict=True):
        np.testing.assert_allclose(a, b[:50], rtol=1e-5)
