"""Auto-exposure against its formula, and photos against the gains stored with them."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.data.procedural.captures import CaptureConfig, capture
from aw_jax.data.procedural.export import write
from aw_jax.data.procedural.exposure import LAG, exposed, gains
from aw_jax.data.procedural.rendering import photograph
from aw_jax.data.procedural.seeds import TEST
from aw_jax.data.procedural.worlds import scene
from aw_jax.data.scenes import load_scene
from aw_jax.media import images

CONFIG = CaptureConfig(frames=5, width=49, height=49, sweep=(0.4, 0.4))
SEED = TEST[27]
"""A garden that changes in brightness along the path."""


@pytest.fixture(scope="module")
def filmed():
    world = dataclasses.replace(scene(SEED, texture_size=32), metering=0.8)
    cameras = capture(world, CONFIG)
    photos, factors = exposed(world, cameras, lag=LAG)
    clean = photograph(world, cameras)
    return world, cameras, *(np.asarray(x) for x in (photos, factors, clean))


def _flat(levels):
    return jnp.asarray(levels, jnp.float32)[:, None, None, None] * jnp.ones((6, 8, 3))


def test_full_strength_makes_frames_equally_bright_on_average_unchanged():
    levels = np.array([0.1, 0.2, 0.8])
    found = np.asarray(gains(_flat(levels), strength=1.0), float)
    middle = np.exp(np.log(levels).mean())
    np.testing.assert_allclose(found * levels, middle, rtol=1e-5)
    np.testing.assert_allclose(np.log(found).sum(), 0, atol=1e-5)


def test_strength_is_the_share_of_stops_taken_back():
    light = _flat([0.1, 0.4, 0.4])
    found = np.asarray(gains(light, strength=0.75), float)
    np.testing.assert_allclose(np.log2(found[0] / found[1]), 0.75 * 2, rtol=1e-5)
    assert np.array_equal(gains(light, strength=0.0), [1.0, 1.0, 1.0])


def test_the_middle_counts_more_than_the_rim():
    light = np.array(_flat([0.1, 0.1, 0.1]))
    light[1, 2:4, 3:5] = 1.0
    light[2, :2, :2] = 1.0
    plain, middle, rim = 1 / np.asarray(gains(jnp.asarray(light), strength=1.0), float)
    assert middle / plain - 1 > 30 * (rim / plain - 1) > 0


def test_a_films_exposure_follows_a_sudden_change_bit_by_bit():
    levels = np.array([0.1] * 6 + [0.4] * 14)
    found = np.asarray(gains(_flat(levels), strength=1.0, lag=4.0), float)
    stops, expected = np.log2(levels), []
    for now in range(20):
        weights = [np.exp(-(now - then) / 4.0) for then in range(now + 1)]
        expected.append(np.average(stops[: now + 1], weights=weights))
    expected = np.mean(expected) - np.array(expected)
    np.testing.assert_allclose(np.log2(found), expected, atol=1e-5)
    assert np.abs(np.diff(np.log2(found))).max() < 0.6


def test_photos_are_the_locked_ones_times_their_gains_in_linear_light(filmed):
    _, _, photos, factors, clean = filmed
    expected = clean.astype(float) ** 2 * factors[:, None, None, None]
    unclipped = (clean < 0.999) & (expected < 1)
    assert unclipped.mean() > 0.9
    np.testing.assert_allclose(photos[unclipped] ** 2, expected[unclipped], atol=1e-5)


def test_gains_change_smoothly_along_a_path(filmed):
    stops = np.log2(filmed[3].astype(float))
    assert np.ptp(stops) > 0.02
    # A tenth of a radian a frame, twice as fast as a clip of 33 frames.
    assert np.abs(np.diff(stops)).max() < 0.15


def test_photos_taken_apart_do_not_weigh_on_each_other(filmed):
    world, cameras, *_ = filmed
    few = np.array([0, 2, 4])
    whole, some = (exposed(world, cameras[x])[1] for x in (np.arange(5), few))
    ratio = np.asarray(some, float) / np.asarray(whole)[few]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)


def test_a_locked_exposure_gives_the_photographs_themselves(filmed):
    world, cameras, _, _, clean = filmed
    photos, factors = exposed(world, cameras[:1], auto=False)
    assert np.array_equal(photos, clean[:1])
    assert np.array_equal(factors, [1.0])


def test_a_written_capture_holds_the_gains_of_its_photos(filmed, tmp_path):
    world, cameras, photos, factors, _ = filmed
    folder = write(world, tmp_path / "scene", cameras, auto_exposure=True)
    frames = json.loads((folder / "transforms.json").read_text())["frames"]
    np.testing.assert_allclose(
        [frame["exposure_gain"] for frame in frames], factors, rtol=1e-6
    )
    stored = images.read(folder / frames[4]["file_path"]).astype(float) / 255
    np.testing.assert_allclose(stored, photos[4], atol=0.6 / 255)
    assert len(load_scene(folder).views) == 5
