"""The laws of adaptive density control at fixed capacity."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.pytrees import replace
from aw_jax.geometry.cameras import Cameras
from aw_jax.splat import densify, fit
from aw_jax.splat.fit_config import DensifyConfig, FitConfig
from aw_jax.splat.fit_state import Growth
from aw_jax.splat.gaussians import DEAD_LOGIT
from aw_jax.splat.rasterize import RenderSettings, render

KEY = jax.random.key(0)
CONFIG = DensifyConfig()
SMALL, LARGE, HUGE = np.log([0.001, 0.05, 0.5])


def state(*, log_scales, pulls, opacities=None, capacity=8):
    """A fit of scale 1 whose Gaussians have these sizes, gradients and opacities."""
    count = len(log_scales)
    points = np.asarray(jax.random.normal(KEY, (count, 3)))
    config = FitConfig(capacity=capacity, sh_degree=0)
    fresh = fit.initial_state(
        points, np.full((count, 3), 0.7), scene_scale=1.0, config=config, key=KEY
    )
    logits = jax.scipy.special.logit(jnp.asarray(opacities or [0.5] * count))
    splat = replace(
        fresh.splat,
        log_scales=fresh.splat.log_scales.at[:count].set(
            np.asarray(log_scales)[:, None]
        ),
        logit_opacities=fresh.splat.logit_opacities.at[:count].set(logits),
    )
    pad = np.zeros(capacity - count)
    growth = Growth(
        gradient=jnp.asarray([*np.multiply(pulls, 4.0), *pad], jnp.float32),
        visits=jnp.asarray([*np.full(count, 4.0), *pad], jnp.float32),
    )
    moments = jax.tree.map(jnp.ones_like, fresh.moments)
    return replace(fresh, splat=splat, growth=growth, moments=moments)


def refine(before, *, oversized=False):
    copy = jax.tree.map(jnp.copy, before)  # it is donated
    return densify.refine(copy, KEY, oversized=oversized, config=CONFIG)


def test_a_small_gaussian_that_is_pulled_is_cloned_in_place():
    before = state(log_scales=[SMALL] * 3, pulls=[0, 1e-3, 0])
    after = refine(before)
    assert after.alive.sum() == 4
    for old, new in zip(
        jax.tree.leaves(before.splat), jax.tree.leaves(after.splat), strict=True
    ):
        np.testing.assert_array_equal(new[:3], old[:3])  # the parent is untouched
        np.testing.assert_array_equal(new[3], old[1])


def test_a_large_gaussian_that_is_pulled_is_split_into_two_smaller_ones():
    before = state(log_scales=[LARGE] * 3, pulls=[0, 1e-3, 0])
    after = refine(before)
    assert after.alive.sum() == 4
    halves = jnp.asarray([1, 3])
    shrunk = np.full((2, 3), LARGE - np.log(1.6))
    np.testing.assert_allclose(after.splat.log_scales[halves], shrunk, rtol=1e-6)
    moved = np.linalg.norm(after.splat.means[halves] - before.splat.means[1], axis=-1)
    assert (moved > 0).all()
    assert (moved < 5 * np.exp(LARGE)).all()  # five sigma of one round Gaussian
    assert moved[0] != moved[1]
    np.testing.assert_array_equal(
        after.splat.sh[halves], before.splat.sh[jnp.asarray([1, 1])]
    )


def test_halves_are_drawn_from_the_parent():
    count = 4000
    points = np.zeros((count, 3))
    config = FitConfig(capacity=2 * count, sh_degree=0)
    fresh = fit.initial_state(points, points, scene_scale=1.0, config=config, key=KEY)
    sizes = jnp.log(jnp.asarray([0.02, 0.1, 0.4]))
    turn = jnp.asarray([0.9, 0.1, -0.3, 0.4])
    splat = replace(
        fresh.splat,
        log_scales=jnp.broadcast_to(sizes, (2 * count, 3)),
        quats=jnp.broadcast_to(turn, (2 * count, 4)),
    )
    pulled = Growth(gradient=jnp.ones(2 * count), visits=jnp.ones(2 * count))
    after = refine(replace(fresh, splat=splat, growth=pulled))
    axes = densify.matrix_from_quat(turn) * jnp.exp(sizes)
    expected = axes @ axes.T
    got = jnp.cov(after.splat.means.T)
    # 8000 draws: entries of the sample covariance are off by about 2 %
    np.testing.assert_allclose(got, expected, atol=0.1 * float(expected.max()))


def test_transparent_gaussians_are_removed_and_nothing_grows_from_them():
    before = state(
        log_scales=[SMALL] * 3, pulls=[1e-3, 0, 0], opacities=[0.004, 0.006, 0.9]
    )
    after = refine(before)
    np.testing.assert_array_equal(after.alive, [False, True, True] + [False] * 5)
    assert after.splat.logit_opacities[0] == DEAD_LOGIT


@pytest.mark.parametrize("oversized", [False, True])
def test_oversized_gaussians_are_removed_only_when_asked(oversized):
    before = state(log_scales=[HUGE, LARGE], pulls=[0, 0])
    after = refine(before, oversized=oversized)
    np.testing.assert_array_equal(after.alive[:2], [not oversized, True])


def test_capacity_is_never_exceeded_and_the_largest_gradients_go_first():
    pulls = [3e-3, 1e-3, 4e-3, 2e-3, 5e-3, 6e-3]
    before = state(log_scales=[SMALL] * 6, pulls=pulls, capacity=8)
    after = refine(before)
    assert after.alive.all()
    np.testing.assert_array_equal(after.splat.means[6], before.splat.means[5])
    np.testing.assert_array_equal(after.splat.means[7], before.splat.means[4])


def test_a_full_fit_splits_nothing_it_has_no_row_for():
    before = state(log_scales=[LARGE] * 4, pulls=[1e-3] * 4, capacity=4)
    after = refine(before)
    for old, new in zip(
        jax.tree.leaves(before.splat), jax.tree.leaves(after.splat), strict=True
    ):
        np.testing.assert_array_equal(new, old)


def test_rows_of_the_removed_are_taken_at_once():
    before = state(
        log_scales=[SMALL] * 4,
        pulls=[0, 0, 0, 1e-3],
        opacities=[0.5, 0.001, 0.5, 0.5],
        capacity=4,
    )
    after = refine(before)
    assert after.alive.all()
    np.testing.assert_array_equal(after.splat.means[1], before.splat.means[3])


def test_new_and_removed_gaussians_have_no_past():
    before = state(
        log_scales=[SMALL, LARGE, SMALL, SMALL],
        pulls=[1e-3, 2e-3, 0, 0],
        opacities=[0.5, 0.5, 0.5, 0.001],
    )
    after = refine(before)
    # Row 3 is freed, then taken by the strongest, Gaussian 1; row 4 by Gaussian 0.
    kept = np.asarray([True, False, True] + [False] * 5)
    for moment in jax.tree.leaves(after.moments):
        flat = np.asarray(moment).reshape(8, -1)
        np.testing.assert_array_equal(flat.any(axis=1), kept)


def test_statistics_start_anew():
    after = refine(state(log_scales=[SMALL] * 2, pulls=[1e-3, 0]))
    assert not after.growth.gradient.any()
    assert not after.growth.visits.any()


def test_unseen_gaussians_do_not_grow():
    before = state(log_scales=[SMALL] * 2, pulls=[0, 0])
    before = replace(before, growth=densify.no_growth(8))
    assert refine(before).alive.sum() == 2


def test_reset_lowers_opacities_and_forgets_only_theirs():
    before = state(log_scales=[SMALL] * 3, pulls=[0] * 3, opacities=[0.9, 0.007, 0.3])
    copy = jax.tree.map(jnp.copy, before)
    after = densify.reset_opacities(copy, config=CONFIG)
    opacities = jax.nn.sigmoid(after.splat.logit_opacities[:3])
    np.testing.assert_allclose(opacities, [0.01, 0.007, 0.01], rtol=1e-5)
    assert (after.splat.logit_opacities[3:] == DEAD_LOGIT).all()
    for moment in (after.moments.mean, after.moments.square):
        assert not moment.logit_opacities.any()
        assert moment.means.all()


def test_dead_rows_are_never_drawn():
    before = state(log_scales=[LARGE] * 3, pulls=[0] * 3)
    cameras = Cameras(
        camera_from_world=jnp.eye(4).at[2, 3].set(5)[None],
        intrinsics=jnp.asarray([[[20.0, 0, 8], [0, 20, 8], [0, 0, 1]]]),
        width=16,
        height=16,
    )
    whole = render(before.splat, cameras, settings=RenderSettings(backend="xla"))
    living = render(
        fit.final_splat(before), cameras, settings=RenderSettings(backend="xla")
    )
    assert (whole.stats.radii[0, 3:] == 0).all()
    np.testing.assert_array_equal(whole.color, living.color)
