"""Auto-exposure against its formula, and photos against the gains stored with them."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.data.procedural.captures import CaptureConfig, capture
from aw_jax.data.procedural.export import write
from aw_jax.data.procedural.exposure import exposed, gains, metered
from aw_jax.data.procedural.rendering import photograph
from aw_jax.data.procedural.seeds import TEST
from aw_jax.data.procedural.worlds import scene
from aw_jax.data.scenes import load_scene
from aw_jax.media import images

CONFIG = CaptureConfig(frames=9, width=49, height=49, sweep=(0.4, 0.4))


@pytest.fixture(scope="module")
def filmed():
    world = dataclasses.replace(scene(TEST.start + 2), metering=0.8)
    cameras = capture(world, CONFIG)
    photos, factors = exposed(world, cameras)
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
    found = np.asarray(gains(_flat([0.1, 0.4]), strength=0.75), float)
    np.testing.assert_allclose(np.log2(found[0] / found[1]), 0.75 * 2, rtol=1e-5)
    assert np.array_equal(gains(_flat([0.1, 0.4]), strength=0.0), [1.0, 1.0])


def test_the_middle_counts_more_than_the_rim():
    light = np.full((3, 21, 21, 3), 0.1, np.float32)
    light[1, 9:12, 9:12] = 1.0
    light[2, :3, :3] = 1.0
    plain, middle, rim = np.asarray(metered(jnp.asarray(light)), float)
    np.testing.assert_allclose(plain, 0.1, rtol=1e-5)
    assert middle - plain > 50 * (rim - plain) > 0


def test_photos_are_the_locked_ones_times_their_gains_in_linear_light(filmed):
    _, _, photos, factors, clean = filmed
    expected = clean.astype(float) ** 2 * factors[:, None, None, None]
    unclipped = (clean < 0.999) & (expected < 1)
    assert unclipped.mean() > 0.9
    np.testing.assert_allclose(photos[unclipped] ** 2, expected[unclipped], atol=1e-5)


def test_gains_change_smoothly_along_a_path(filmed):
    stops = np.log2(filmed[3].astype(float))
    assert np.ptp(stops) > 0.05
    assert np.abs(np.diff(stops, n=2)).max() < 0.15


def test_a_gain_depends_on_its_frame_but_for_one_constant(filmed):
    world, cameras, _, factors, _ = filmed
    few = np.array([0, 3, 8])
    _, again = exposed(world, cameras[few])
    ratio = np.asarray(again, float) / factors[few]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)


def test_a_locked_exposure_gives_the_photographs_themselves(filmed):
    world, cameras, _, _, clean = filmed
    photos, factors = exposed(world, cameras, auto=False)
    assert np.array_equal(photos, clean)
    assert np.array_equal(factors, np.ones(9))


def test_a_written_capture_holds_the_gains_of_its_photos(filmed, tmp_path):
    world, cameras, photos, factors, _ = filmed
    folder = write(world, tmp_path / "scene", cameras, auto_exposure=True)
    frames = json.loads((folder / "transforms.json").read_text())["frames"]
    np.testing.assert_allclose(
        [frame["exposure_gain"] for frame in frames], factors, rtol=1e-6
    )
    stored = images.read(folder / frames[4]["file_path"]).astype(float) / 255
    np.testing.assert_allclose(stored, photos[4], atol=0.6 / 255)
    assert len(load_scene(folder).views) == 9
