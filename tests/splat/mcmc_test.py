"""The laws of densification by a Markov chain, and whole fits with it."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.core.pytrees import replace
from aw_jax.geometry.rotations import matrix_from_quat
from aw_jax.splat import fit, fit_step, mcmc
from aw_jax.splat.fit_config import FitConfig, McmcConfig
from aw_jax.splat.gaussians import DEAD_LOGIT, Splat

KEY = jax.random.key(0)
ROWS = 80
PLAIN = McmcConfig()
"""Adds none to less than 20 Gaussians."""
SHARED = jax.jit(functools.partial(mcmc.shared, min_opacity=0.005))


def splat_of(opacities, scales=None, seed=0):
    """Gaussians with these opacities; with other means, turns and colors each."""
    draw = np.random.default_rng(seed)
    count = len(opacities)
    logits = jax.scipy.special.logit(jnp.asarray(opacities, jnp.float32))
    scales = draw.uniform(0.1, 0.4, (count, 3)) if scales is None else scales
    return Splat(
        means=jnp.asarray(draw.normal(size=(count, 3)), jnp.float32),
        log_scales=jnp.log(jnp.asarray(scales, jnp.float32)),
        quats=jnp.asarray(draw.normal(size=(count, 4)), jnp.float32),
        logit_opacities=logits,
        sh=jnp.asarray(draw.normal(size=(count, 1, 3)), jnp.float32),
    )


def state_of(opacities):
    """A fit of these Gaussians that has a past, and `ROWS` rows."""
    config = FitConfig(capacity=ROWS, sh_degree=0)
    fresh = fit.state_from_splat(splat_of(opacities), scene_scale=1.0, config=config)
    return replace(fresh, moments=jax.tree.map(jnp.ones_like, fresh.moments))


def refine(before, config, key=KEY):
    return mcmc.refine(jax.tree.map(jnp.copy, before), key, config=config)


def rows(tree):
    """Every row of a tree as one vector."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)


def double_sum(opacity, r):
    """D as the authors write it, in float64, of the new opacity."""
    return math.fsum(
        math.comb(i - 1, k) * (-1) ** k * opacity ** (k + 1) / math.sqrt(k + 1)
        for i in range(1, r + 1)
        for k in range(i)
    )


@pytest.mark.parametrize("opacity", [0.01, 0.3, 0.9, 0.99, 0.9999])
def test_what_copies_share_is_the_formula_of_the_paper(opacity):
    copies = np.arange(1, ROWS + 1)
    splat = splat_of([opacity] * len(copies))
    logits, log_scales = SHARED(splat, jnp.asarray(copies))
    old = 1 / (1 + np.exp(-np.asarray(splat.logit_opacities, np.float64)))
    for i, r in enumerate(np.minimum(copies, 51)):
        new = 1 - (1 - old[i]) ** (1 / r)
        found = jax.nn.sigmoid(logits[i])
        np.testing.assert_allclose(found, max(new, 0.005), rtol=1e-5)
        ratio = np.exp(np.float64(log_scales[i]) - np.float64(splat.log_scales[i]))
        np.testing.assert_allclose(ratio, old[i] / double_sum(new, r), rtol=1e-5)


@pytest.mark.parametrize("r", [2, 5, 30])
def test_copies_in_one_place_look_like_the_one_they_replace(r):
    """At the centre, and in all the light stopped along a line through it."""
    splat = splat_of([0.85] * ROWS, np.full((ROWS, 3), 0.2))
    logits, log_scales = SHARED(splat, jnp.full(ROWS, r))
    x = np.linspace(-3, 3, 4001)
    profile = lambda opacity, scale: opacity * np.exp(-((x / scale) ** 2) / 2)
    alpha = profile(jax.nn.sigmoid(logits[0]), np.exp(log_scales[0, 0]))
    stopped, light = np.zeros_like(x), np.ones_like(x)
    for _ in range(r):
        stopped, light = stopped + light * alpha, light * (1 - alpha)
    old = profile(0.85, 0.2)
    np.testing.assert_allclose(stopped[2000], old[2000], rtol=1e-5)
    np.testing.assert_allclose(stopped.sum(), old.sum(), rtol=1e-5)


def test_opacities_of_copies_stay_off_both_ends():
    ends = jnp.tile(jnp.asarray([40.0, -4.0]), ROWS // 2)
    splat = replace(splat_of([0.5] * ROWS), logit_opacities=ends)
    logits, log_scales = SHARED(splat, jnp.full(ROWS, 50))
    opacities = np.asarray(jax.nn.sigmoid(logits[:2]))
    assert 0.5 < opacities[0] < 1
    np.testing.assert_allclose(opacities[1], 0.005, rtol=1e-5)
    assert np.isfinite(log_scales).all()


def test_transparent_gaussians_move_onto_others():
    before = state_of([0.9, 0.004, 0.6, 0.001])
    after = refine(before, PLAIN)
    np.testing.assert_array_equal(after.alive, np.arange(ROWS) < 4)
    sources = [
        int(np.flatnonzero((before.splat.means[:3] == mean).all(axis=1))[0])
        for mean in after.splat.means[:4]
    ]
    assert (sources[0], sources[2]) == (0, 2)
    assert {sources[1], sources[3]} <= {0, 2}
    np.testing.assert_array_equal(
        rows(after.splat)[:4], rows(after.splat)[np.asarray(sources)]
    )
    copies = jnp.asarray([sources.count(row) for row in range(ROWS)])
    logits, log_scales = SHARED(before.splat, jnp.maximum(copies, 1))
    taken = np.flatnonzero(np.asarray(copies) > 1)
    np.testing.assert_allclose(
        after.splat.logit_opacities[taken], logits[taken], rtol=1e-5
    )
    np.testing.assert_allclose(
        after.splat.log_scales[taken], log_scales[taken], rtol=1e-5
    )


def test_who_was_touched_has_no_past_and_the_others_keep_every_bit():
    before = state_of([0.9, 0.004, 0.6, 0.7])
    after = refine(before, PLAIN)
    source = np.flatnonzero(
        (before.splat.means == after.splat.means[1]).all(axis=1)
    ).item()
    kept = np.asarray([row not in (1, source) for row in range(ROWS)])
    np.testing.assert_array_equal(rows(after.moments).any(axis=1), kept)
    np.testing.assert_array_equal(rows(after.splat)[kept], rows(before.splat)[kept])


def test_places_are_drawn_by_opacity():
    living = np.asarray([0.1, 0.2, 0.3, 0.4])
    before = state_of([*living, *[0.001] * 15])
    shares = np.zeros(4)
    for draw in range(150):
        after = refine(before, PLAIN, jax.random.fold_in(KEY, draw))
        match = after.splat.means[4:19, None] == before.splat.means[None, :4]
        shares += np.asarray(match).all(axis=-1).mean(axis=0) / 150
    np.testing.assert_allclose(shares.sum(), 1)
    # Three standard deviations of a share among 2250 draws are 0.031 at most.
    np.testing.assert_allclose(shares, living, atol=0.031)


def test_where_all_are_transparent_nothing_moves():
    before = state_of([0.001, 0.002, 0.003])
    after = refine(before, PLAIN)
    np.testing.assert_array_equal(rows(after.splat), rows(before.splat))
    np.testing.assert_array_equal(after.alive, before.alive)


@pytest.mark.parametrize(
    ("config", "counts"),
    [
        (McmcConfig(cap=50), [42, 44, 46, 48, 50, 50]),
        (PLAIN, [42, 44, 46, 48, 50, 52, 54, 56, 58, 60, 63, 66, 69, 72, 75, 78, 80]),
    ],
    ids=["cap", "rows"],
)
def test_a_twentieth_is_added_until_the_cap_or_the_last_row(config, counts):
    state = state_of([0.5] * 40)
    for step, count in enumerate(counts):
        state = refine(state, config, jax.random.fold_in(KEY, step))
        np.testing.assert_array_equal(state.alive, np.arange(ROWS) < count)
    assert (state.splat.logit_opacities[:count] > DEAD_LOGIT).all()


def test_more_than_the_cap_are_left_alone():
    assert mcmc.grown(jnp.asarray(50), McmcConfig(cap=45)) == 50
    assert mcmc.grown(jnp.asarray(100_000), McmcConfig()) == 105_000


def test_the_walk_has_the_covariance_of_the_squared_gaussian():
    """And opaque Gaussians hardly walk, dead rows never."""
    count, size = 8000, 3.0
    scales, turn = np.asarray([0.1, 0.3, 0.5]), jnp.asarray([0.9, 0.1, -0.3, 0.4])
    splat = replace(
        splat_of([0.9, *[0.015] * (count - 1)], np.tile(scales, (count, 1))),
        quats=jnp.tile(turn, (count, 1)),
    )
    walked = jax.jit(functools.partial(mcmc.walked, min_opacity=0.005))(
        splat, jnp.arange(count) != 1, KEY, size=jnp.float32(size)
    )
    steps = np.asarray(walked.means - splat.means)
    assert np.abs(steps[0]).max() < 1e-6
    assert not steps[1].any()
    axes = np.asarray(matrix_from_quat(turn)) * scales
    faint = 1 / (1 + math.exp(100 * 0.01))
    expected = (size * faint * axes @ axes.T) @ (size * faint * axes @ axes.T)
    # 8000 draws: entries of a sample covariance are off by about 1.6 %
    np.testing.assert_allclose(
        np.cov(steps[2:].T), expected, atol=0.06 * float(expected.max())
    )
    np.testing.assert_allclose(steps[2:].mean(axis=0), 0, atol=0.01)


def test_the_tax_is_the_mean_opacity_and_size_of_the_living():
    splat = splat_of([0.2, 0.6, 0.9], np.asarray([[1, 2, 3], [2, 2, 2], [9, 9, 9]]))
    config = McmcConfig(opacity_weight=0.1, scale_weight=0.5)
    tax = mcmc.tax(
        splat,
        jnp.asarray([True, True, False]),
        scene_scale=jnp.float32(4),
        config=config,
    )
    np.testing.assert_allclose(tax, 0.1 * 0.4 + 0.5 * 2 / 4, rtol=1e-5)


def test_the_chain_refines_longer_and_its_schedule_shrinks():
    whole = FitConfig(densify=McmcConfig()).timetable
    short = FitConfig(densify=McmcConfig(), steps=3000).timetable
    assert (whole.densify_stop, FitConfig().timetable.densify_stop) == (25_000, 15_000)
    assert (short.densify_stop, short.densify_start) == (2500, 158)


@pytest.mark.parametrize(
    ("field", "value"), [("cap", 0), ("growth", 0.9), ("min_opacity", 1.0)]
)
def test_a_field_out_of_range_is_named(field, value):
    with pytest.raises(ValueError, match=field):
        McmcConfig(**{field: value})


@pytest.fixture(scope="module")
def chain(toy):
    """The toy's config with a chain, its log, and the state after 100 steps."""
    config = dataclasses.replace(toy.CONFIG, densify=toy.CHAIN)
    log = []
    run = functools.partial(fit.run, targets=(toy.photos(),), config=config, key=KEY)
    state = run(toy.begin(config), until=100, on_step=log.append)
    return config, run, log, state


def test_a_fit_by_a_chain_gains_decibels_and_keeps_to_its_cap(toy, chain):
    config, _, log, state = chain
    assert toy.novel_psnr(state) - toy.novel_psnr(toy.begin(config)) > 3
    counts = [progress.count for progress in log]
    assert counts[0] == 40
    assert max(counts) == counts[-1] == 48  # after 20, 40, 60 and 80 steps
    assert int(state.alive.sum()) == 50  # after 100, and never more


def test_a_chain_that_stops_and_goes_on_ends_in_the_same_bits(toy, chain):
    config, run, _, whole = chain
    state = toy.begin(config)
    for until in (19, 20, 61, 100):
        state = run(state, until=until)
    toy.assert_same_bits(state, whole)


def test_a_chain_compiles_one_step_and_one_refinement(toy, chain):
    config, run, _, _ = chain
    functions: Any = (fit_step.step, mcmc.refine)
    before = [function._cache_size() for function in functions]
    run(toy.begin(config), until=45)  # refines twice
    assert [function._cache_size() for function in functions] == before


def test_a_chain_is_the_same_in_other_units(toy, chain):
    config, run, _, _ = chain
    photos = toy.photos()
    far = replace(photos, cameras=toy.cameras(6, unit=4.0))
    one = run(toy.begin(config), until=3)
    four = run(toy.begin(config, unit=4.0), targets=(far,), until=3)
    still = toy.begin(config)
    moved = one.splat.means - still.splat.means
    error = four.splat.means / 4 - one.splat.means
    assert np.abs(error).max() < 1e-3 * np.abs(moved).max()


def test_more_points_than_the_cap_are_refused(toy):
    config = dataclasses.replace(toy.CONFIG, densify=McmcConfig(cap=30))
    with pytest.raises(UserError, match="40 Gaussians, expected 1 to cap=30"):
        toy.begin(config)
