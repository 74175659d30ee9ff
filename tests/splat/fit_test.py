"""Whole fits of a small synthetic splat, seen by a ring of cameras."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.core.pytrees import replace
from aw_jax.geometry.cameras import Cameras
from aw_jax.geometry.rotations import look_at
from aw_jax.images.psnr import psnr
from aw_jax.splat import fit, fit_step, initialize
from aw_jax.splat.fit_config import DensifyConfig, FitConfig, LearningRates, Schedule
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.rasterize import render
from aw_jax.splat.targets import Targets

KEY = jax.random.key(1)
SIZE = 48
SCHEDULE = Schedule(
    length=200,
    sh_every=50,
    densify_start=20,
    densify_stop=150,
    densify_every=20,
    reset_every=1000,
    reopen=40,
    quiet=20,
)
CONFIG = FitConfig(
    steps=200,
    capacity=400,
    schedule=SCHEDULE,
    densify=DensifyConfig(gradient=1e-3, split_scale=0.03),
    sh_degree=1,
    rates=LearningRates(means=2e-3),  # 200 steps are few
)


@functools.cache
def world():
    """300 opaque Gaussians in a cube of side 2."""
    keys = jax.random.split(jax.random.key(0), 4)
    return Splat(
        means=jax.random.uniform(keys[0], (300, 3), minval=-1, maxval=1),
        log_scales=jnp.log(
            jax.random.uniform(keys[1], (300, 3), minval=0.05, maxval=0.2)
        ),
        quats=jax.random.normal(keys[2], (300, 4)),
        logit_opacities=jnp.full(300, 2.0),
        sh=jax.random.normal(keys[3], (300, 1, 3)),
    )


def cameras(count, phase=0.0, size=SIZE):
    """On a ring of radius 3.5 that goes up and down, looking at the centre."""
    angles = 2 * np.pi * (np.arange(count) + phase) / count
    eyes = np.stack([np.cos(angles), 0.3 * np.sin(3 * angles), np.sin(angles)], -1)
    poses = [look_at(3.5 * eye, np.zeros(3), np.asarray([0, -1.0, 0])) for eye in eyes]
    focal, middle = 1.1 * size, size / 2
    intrinsics = np.asarray([[focal, 0, middle], [0, focal, middle], [0, 0, 1]])
    return Cameras(
        camera_from_world=jnp.asarray(np.stack(poses), jnp.float32),
        intrinsics=jnp.tile(jnp.asarray(intrinsics, jnp.float32), (count, 1, 1)),
        width=size,
        height=size,
    )


photograph = jax.jit(lambda splat, cameras: render(splat, cameras).color)


def targets(cameras):
    return Targets(images=photograph(world(), cameras), cameras=cameras)


PHOTOS = functools.cache(lambda: (targets(cameras(6)),))
NOVEL = functools.cache(lambda: targets(cameras(4, phase=0.37)))


def begin(config=CONFIG):
    """From the true centres, displaced by a twentieth, in one grey."""
    offsets = 0.05 * jax.random.normal(KEY, (300, 3))
    return fit.initial_state(
        world().means + offsets,
        jnp.full((300, 3), 0.5),
        scene_scale=initialize.scene_scale(PHOTOS()[0].cameras),
        config=config,
        key=KEY,
    )


def novel_psnr(state):
    images = photograph(state.splat, NOVEL().cameras)
    return float(psnr(images, NOVEL().images).mean())


def assert_same_bits(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@functools.cache
def plain_fit():
    log = []
    state = fit.run(
        begin(CONFIG), PHOTOS(), config=CONFIG, until=200, key=KEY, on_step=log.append
    )
    return state, log


def test_a_short_fit_gains_decibels_on_views_it_never_saw():
    state, _ = plain_fit()
    assert novel_psnr(state) - novel_psnr(begin()) > 3


def test_progress_is_told_of_every_step_and_the_loss_falls():
    state, log = plain_fit()
    assert [progress.step for progress in log] == list(range(200))
    losses = np.asarray([progress.loss for progress in log])
    assert losses[-30:].mean() < 0.65 * losses[:30].mean()
    assert log[0].count == 300
    assert log[-1].count == int(state.alive.sum()) != 300
    assert log[-1].psnr > log[0].psnr + 3


def test_stopping_and_going_on_ends_in_the_same_bits():
    whole, _ = plain_fit()
    state = begin(CONFIG)
    for until in (1, 60, 61, 133, 200):  # 60 is a refinement
        state = fit.run(state, PHOTOS(), config=CONFIG, until=until, key=KEY)
    assert_same_bits(state, whole)


def test_the_callers_state_survives_and_no_step_changes_nothing():
    state = begin()
    again = fit.run(state, PHOTOS(), config=CONFIG, until=0, key=KEY)
    fit.run(state, PHOTOS(), config=CONFIG, until=2, key=KEY)
    assert_same_bits(again, state)


def test_one_fit_compiles_one_step():
    step: Any = fit_step.step
    plain_fit()
    size = step._cache_size()
    shorter = dataclasses.replace(CONFIG, steps=100)
    few = (jax.tree.map(lambda x: x[:3], PHOTOS()[0]),)
    fit.run(begin(), few, config=shorter, until=30, key=KEY)
    assert step._cache_size() == size
    step.clear_cache()
    fit.run(begin(), PHOTOS(), config=CONFIG, until=60, key=KEY)  # grows twice
    assert step._cache_size() == 1


def test_generated_views_of_weight_zero_change_no_bit():
    run = functools.partial(fit.run, config=CONFIG, until=45, key=KEY)
    plain = run(begin(), PHOTOS())
    unweighted = run(begin(), PHOTOS(), pseudo=(NOVEL(),), gen_weight=lambda step: 0.0)
    assert_same_bits(unweighted, plain)


def test_true_generated_views_improve_novel_ones():
    run = functools.partial(fit.run, config=CONFIG, until=120, key=KEY)
    few = (jax.tree.map(lambda x: x[:2], PHOTOS()[0]),)
    between = targets(cameras(8, phase=0.2))
    alone = run(begin(), few)
    helped = run(begin(), few, pseudo=(between,), injections=(0,))
    assert novel_psnr(helped) > novel_psnr(alone) + 1


def test_photos_of_several_sizes_are_fitted_together():
    mixed = (targets(cameras(3)), targets(cameras(2, phase=0.5, size=32)))
    state = fit.run(begin(), mixed, config=CONFIG, until=15, key=KEY)
    assert novel_psnr(state) > novel_psnr(begin())


def test_harmonics_wait_for_their_turn():
    state = fit.run(begin(), PHOTOS(), config=CONFIG, until=49, key=KEY)
    assert not state.splat.sh[:, 1:].any()
    state = fit.run(state, PHOTOS(), config=CONFIG, until=60, key=KEY)
    assert state.splat.sh[:, 1:].any()


def test_a_background_that_changes_every_step_is_resumable():
    config = dataclasses.replace(CONFIG, random_background=True)
    whole = fit.run(begin(), PHOTOS(), config=config, until=6, key=KEY)
    half = fit.run(begin(), PHOTOS(), config=config, until=3, key=KEY)
    assert_same_bits(fit.run(half, PHOTOS(), config=config, until=6, key=KEY), whole)
    black = fit.run(begin(), PHOTOS(), config=CONFIG, until=6, key=KEY)
    assert (black.splat.means != whole.splat.means).any()


def test_a_fit_that_diverges_names_the_step():
    poisoned = replace(PHOTOS()[0], images=PHOTOS()[0].images.at[2].set(jnp.nan))
    with pytest.raises(fit.FitDiverged, match=r"diverged at step [0-5] \(loss nan\)"):
        fit.run(begin(), (poisoned,), config=CONFIG, until=10, key=KEY)


def test_more_points_than_rows_are_refused_in_one_line():
    with pytest.raises(UserError, match="300 Gaussians, expected 1 to capacity=200"):
        begin(dataclasses.replace(CONFIG, capacity=200))


def test_final_splat_holds_the_living_only():
    state, _ = plain_fit()
    splat = fit.final_splat(state)
    assert len(splat.means) == int(state.alive.sum())
    np.testing.assert_allclose(
        photograph(splat, NOVEL().cameras),
        photograph(state.splat, NOVEL().cameras),
        atol=1e-6,
    )
