"""Corrections of photos by themselves, and in whole fits."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.spatial.transform import Rotation

from aw_jax.core.pytrees import replace
from aw_jax.geometry.cameras import project
from aw_jax.splat import corrections, fit, fit_step
from aw_jax.splat.corrections import PhotoControls
from aw_jax.splat.fit_config import FitConfig, LearningRates
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.view_order import ViewOrder

KEY = jax.random.key(0)
BOTH = FitConfig(correct_exposures=True, correct_poses=True)
ONE = jnp.ones(())


def test_a_motion_stands_left_of_the_pose_and_turns_by_its_vector(toy):
    cameras = toy.cameras(3)
    motion = np.asarray([0.02, -0.01, 0.03, 0.1, -0.2, 0.05])
    delta = np.eye(4)
    delta[:3, :3] = Rotation.from_rotvec(motion[:3]).as_matrix()
    delta[:3, 3] = 2 * motion[3:]
    moved = corrections.moved(
        cameras, jnp.asarray(motion, jnp.float32), scene_scale=jnp.float32(2)
    )
    # Half the vector as a quaternion is tan(angle / 2), off by angle^3 / 12.
    np.testing.assert_allclose(
        moved.camera_from_world, delta @ cameras.camera_from_world, atol=2e-5
    )
    still = corrections.moved(cameras, jnp.zeros(6), scene_scale=jnp.float32(2))
    np.testing.assert_array_equal(still.camera_from_world, cameras.camera_from_world)


def test_an_exposure_maps_every_pixel():
    draw = np.random.default_rng(0)
    color, exposure = draw.uniform(size=(1, 2, 3, 3)), draw.normal(size=(3, 4))
    out = corrections.exposed(
        jnp.asarray(color, jnp.float32), jnp.asarray(exposure, jnp.float32)
    )
    for y in range(2):
        for x in range(3):
            expected = exposure[:, :3] @ color[0, y, x] + exposure[:, 3]
            np.testing.assert_allclose(out[0, y, x], expected, atol=1e-6)


def test_the_derivative_at_no_motion_matches_finite_differences(toy):
    """Of where points are seen, in float64."""
    draw, h = np.random.default_rng(1), 1e-6
    with jax.enable_x64():
        points = jnp.asarray(draw.uniform(-1, 1, (5, 3)))
        cameras = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), toy.cameras(2))

        @jax.jit
        def places(motion):
            seen = corrections.moved(cameras, motion, scene_scale=jnp.float64(2))
            return project(seen, points)[0]

        slope = jax.jit(jax.jacobian(places))(jnp.zeros(6))
        steps = h * np.eye(6)
        difference = [(places(step) - places(-step)) / (2 * h) for step in steps]
        assert np.abs(slope).max(axis=(0, 1, 2)).min() > 1
        np.testing.assert_allclose(slope, np.stack(difference, axis=-1), atol=1e-6)


def test_corrections_follow_optax_with_decayed_weights_about_their_mean():
    rates = LearningRates(poses_weight_decay=0.1)
    photos = corrections.untouched(4, BOTH)
    adam = functools.partial(optax.scale_by_adam, eps=1e-15)
    peers = {
        "exposures": (adam(), 3e-2),
        "motions": (optax.chain(optax.add_decayed_weights(0.1), adam()), 2e-3),
    }
    theirs = vars(photos.corrections)
    states = {name: peer.init(theirs[name]) for name, (peer, _) in peers.items()}
    for step in range(3):
        draw = np.random.default_rng(step)
        gradient = jax.tree.map(
            lambda x, draw=draw: jnp.asarray(draw.normal(size=x.shape), jnp.float32),
            photos.corrections,
        )
        controls = PhotoControls(
            index=jnp.asarray(0), exposures_rate=3e-2 * ONE, poses_rate=2e-3 * ONE
        )
        photos = corrections.followed(
            photos, gradient, controls, rates=rates, step=jnp.asarray(step)
        )
        for name, (peer, size) in peers.items():
            update, states[name] = peer.update(
                getattr(gradient, name), states[name], theirs[name]
            )
            theirs = theirs | {name: theirs[name] - size * update}
        mean = theirs["exposures"].mean(axis=0)
        theirs["exposures"] = theirs["exposures"] - mean + np.eye(3, 4)
    for name in peers:
        np.testing.assert_allclose(
            getattr(photos.corrections, name), theirs[name], atol=2e-6
        )


def test_rates_fall_over_the_fit():
    whole, short = FitConfig(), FitConfig(steps=1200)
    found = [whole.exposures_rate(step) for step in (0, 15_000, 30_000)]
    np.testing.assert_allclose(found, [1e-2, 10**-2.5, 1e-3])
    np.testing.assert_allclose(
        [short.exposures_rate(0), short.exposures_rate(1200)], [1e-2, 1e-3]
    )
    np.testing.assert_allclose(
        [whole.poses_rate(0), whole.poses_rate(30_000)], [1e-5, 1e-7]
    )
    np.testing.assert_allclose(short.poses_rate(1200), 1e-7)


def test_only_the_photo_is_corrected_and_no_generated_view(toy):
    photos = toy.photos()
    views = tuple(jax.tree.map(lambda x, i=i: x[i : i + 1], photos) for i in (1, 2))
    learned = corrections.untouched(6, BOTH).corrections
    learned = replace(learned, motions=learned.motions.at[4].set(0.1))
    controls = PhotoControls(index=jnp.asarray(4), exposures_rate=ONE, poses_rate=ONE)
    taken, exposures = fit_step._corrected(views, learned, controls, ONE)
    assert taken[1] is views[1]
    assert exposures[1] is None
    np.testing.assert_array_equal(exposures[0], np.eye(3, 4))
    before = views[0].cameras.camera_from_world
    assert np.abs(taken[0].cameras.camera_from_world - before).max() > 0.05


@functools.cache
def gains():
    """Gains and offsets of six photos, in pairs that cancel."""
    gains = np.asarray([[0.6, 0.8, 1.2], [1.3, 0.7, 1.0], [0.9, 1.4, 0.7]])
    offsets = np.asarray([[0.1, 0, -0.05], [-0.1, 0.1, 0], [0, 0.05, 0.1]])
    return np.concatenate([gains, 2 - gains]), np.concatenate([offsets, -offsets])


def exposed_photos(toy):
    gain, offset = (x[:, None, None, :] for x in gains())
    photos = toy.photos()
    return replace(photos, images=jnp.asarray(photos.images * gain + offset))


@pytest.fixture(scope="module")
def corrected(toy):
    """The toy's config that corrects exposures and poses."""
    return dataclasses.replace(
        toy.CONFIG, densify=None, correct_exposures=True, correct_poses=True
    )


def test_colors_are_found_through_unlike_exposures(toy, corrected):
    """From a splat that is right but grey; the mean of all gains is 1."""
    photos = (exposed_photos(toy),)
    grey = replace(toy.world(), sh=jnp.zeros((toy.COUNT, 1, 3)))
    plain = dataclasses.replace(corrected, correct_exposures=False, correct_poses=False)

    def fitted(config):
        state = fit.state_from_splat(
            grey, scene_scale=toy.SCALE, config=config, photos=6
        )
        return fit.run(state, photos, config=config, until=200, key=KEY)

    found = fitted(corrected)
    assert toy.novel_psnr(found) > toy.novel_psnr(fitted(plain)) + 5
    exposures = found.photos.corrections.exposures
    np.testing.assert_allclose(exposures.mean(axis=0), np.eye(3, 4), atol=1e-5)
    bright = np.diagonal(exposures[:, :, :3], axis1=1, axis2=2)
    assert np.corrcoef(bright.ravel(), gains()[0].ravel())[0, 1] > 0.9


def test_displaced_cameras_move_towards_where_they_were(toy, corrected):
    """From the true splat, which may follow them instead."""
    draw = np.random.default_rng(2)
    errors = jnp.asarray(draw.normal(0, 0.02, (6, 6)), jnp.float32)
    photos, scale = toy.photos(), jnp.float32(toy.SCALE)
    move = jax.vmap(lambda camera, by: corrections.moved(camera, by, scene_scale=scale))
    wrong = replace(photos, cameras=move(photos.cameras, errors))
    state = fit.state_from_splat(
        toy.world(), scene_scale=toy.SCALE, config=corrected, photos=6
    )
    state = fit.run(state, (wrong,), config=corrected, until=200, key=KEY)
    found = move(wrong.cameras, state.photos.corrections.motions)
    distance = lambda cameras: np.linalg.norm(
        cameras.camera_from_world - photos.cameras.camera_from_world, axis=(1, 2)
    )
    assert (distance(found) < 0.7 * distance(wrong.cameras)).all()
    assert distance(found).mean() < 0.4 * distance(wrong.cameras).mean()


def test_a_step_corrects_the_photo_it_looked_at(toy, corrected):
    state = fit.run(
        toy.begin(corrected, photos=6),
        (toy.photos(),),
        config=corrected,
        until=1,
        key=KEY,
    )
    exposures = state.photos.corrections.exposures
    order = ViewOrder((toy.photos(),), fit.keys.named(KEY, "photos"), 0, 1)
    change = np.abs(exposures - jnp.eye(3, 4)).max(axis=(1, 2))
    # Adam's first step is the rate, and then the mean is taken from all.
    expected = np.where(np.arange(6) == order.index(0), 5 / 6, 1 / 6)
    np.testing.assert_allclose(change, 1e-2 * expected, rtol=1e-3)


def test_a_single_photo_is_its_own_mean(toy):
    exposures = jnp.asarray(np.random.default_rng(0).normal(size=(1, 3, 4)))
    np.testing.assert_allclose(
        corrections.centred(exposures), np.eye(3, 4)[None], atol=1e-6
    )


def test_a_corrected_fit_that_stops_and_goes_on_ends_in_the_same_bits(toy, corrected):
    run = functools.partial(
        fit.run, targets=(exposed_photos(toy),), config=corrected, key=KEY
    )
    begin = toy.begin(corrected, photos=6)
    whole = run(begin, until=20)
    toy.assert_same_bits(run(run(begin, until=7), until=20), whole)


def test_the_splat_that_is_handed_out_is_not_corrected(toy, corrected):
    state = toy.begin(corrected, photos=6)
    splat = fit.final_splat(state)
    assert isinstance(splat, Splat)
    assert {leaf.shape[0] for leaf in jax.tree.leaves(splat)} == {toy.COUNT}


def test_a_fit_without_corrections_carries_nothing_more(toy):
    assert toy.begin(photos=6).photos is None
    assert len(jax.tree.leaves(toy.begin(photos=6))) == 20


def test_a_state_for_other_photos_is_refused(toy, corrected):
    run = functools.partial(fit.run, targets=(toy.photos(),), until=1, key=KEY)
    for state, config in (
        (toy.begin(corrected, photos=5), corrected),
        (toy.begin(photos=6), corrected),
        (toy.begin(corrected, photos=6), toy.CONFIG),
    ):
        with pytest.raises(ValueError, match="begin it with photos=6"):
            run(state, config=config)
