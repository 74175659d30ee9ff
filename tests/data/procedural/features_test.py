"""Features are what pixels see; worlds of a hundred seeds show each often enough."""

import dataclasses

import numpy as np
import pytest

from aw_jax.data.procedural import features as module
from aw_jax.data.procedural.captures import CaptureConfig, _path, pinhole
from aw_jax.data.procedural.features import FEATURES, features, shares
from aw_jax.data.procedural.palette import PAINTERS, paint
from aw_jax.data.procedural.seeds import TEST
from aw_jax.data.procedural.solids import Builder, Material
from aw_jax.data.procedural.worlds import _frozen, furnished
from aw_jax.geometry.rotations import look_at

PALETTE = paint(np.random.default_rng(0), size=8)
"""Features do not depend on what the textures look like."""
SEEDS = TEST[:100]
CONFIG = CaptureConfig(frames=5)
FOLIAGE = int(np.flatnonzero(module.TEXTURES == "foliage")[0])


@pytest.fixture(scope="module")
def worlds():
    return [furnished(seed, PALETTE) for seed in SEEDS]


def _walk(world):
    """The first path that `capture` tries."""
    rng = np.random.default_rng([world.seed, 7, 0, 0])
    return _path(world.stage, CONFIG, rng)


def test_each_feature_is_seen_in_a_tenth_of_scenes_and_more(worlds):
    found = [features(world, _walk(world)) for world in worlds]
    often = {name: np.mean([name in x for x in found]) for name in FEATURES[:-1]}
    assert all(share >= 0.1 for share in often.values()), often


def test_two_thirds_of_cameras_follow_the_light(worlds):
    strengths = np.array([world.metering for world in worlds])
    follows = strengths > 0
    assert 0.5 < follows.mean() < 0.8
    assert (strengths[follows] >= 0.6).all()
    assert (strengths <= 1).all()
    again = [furnished(seed, PALETTE).metering for seed in SEEDS[:3]]
    assert again == strengths[:3].tolist()


def _world(base, *parts):
    """A world of the given (kind, center, radii, material) alone, seen from z = 5."""
    builder = Builder()
    for kind, center, radii, material in parts:
        builder.add(kind, np.array(center, float), radii, material)
    matter = dataclasses.replace(base.matter, solids=_frozen(builder))
    world = dataclasses.replace(base, matter=matter)
    up = np.array([0.0, 1.0, 0.0])
    pose = look_at(np.array([0.0, 0, 5]), np.zeros(3), up)
    return world, pinhole(np.asarray(pose)[None].repeat(5, 0), np.pi / 2, 24, 24)


def test_a_share_is_that_of_the_pixels_that_see_it(worlds):
    leaf, bulk = Material(texture=FOLIAGE), Material(texture=0, gloss=0.5)
    disc = ("disc", (0, 0, 0), (2.0, 2.0, 1.0), leaf)
    seen = shares(*_world(worlds[0], disc))
    # The view is 10 metres wide at the disc.
    np.testing.assert_allclose(seen["foliage"], np.pi * 4 / 100, rtol=0.05)
    assert seen["specular"] == seen["objects"] == 0
    box = ("box", (0, 0, 2.0), (2.0, 2.0, 0.1), bulk)
    hidden = shares(*_world(worlds[0], disc, box))
    assert hidden["foliage"] == 0
    assert hidden["specular"] == hidden["objects"] > 0.3


def test_thin_is_what_is_narrow_both_ways_and_long(worlds):
    stuff = Material(texture=0)
    cases = {
        ("box", (3.0, 0.02, 0.02)): True,
        ("box", (3.0, 1.0, 0.02)): False,
        ("box", (0.1, 0.02, 0.02)): False,
        ("cylinder", (0.02, 0.02, 3.0)): True,
    }
    for (kind, radii), thin in cases.items():
        world, _ = _world(worlds[0], (kind, (0, 0, 0), radii, stuff))
        having = module._having(world.matter.solids)["thin_structures"]
        assert having.sum() == thin, (kind, radii)


def test_exposure_counts_by_the_gains_of_the_photos(worlds):
    cameras = _walk(worlds[0])
    even, rising = np.ones(5), np.linspace(1.0, 1.3, 5)
    assert "changing_exposure" not in features(worlds[0], cameras)
    assert "changing_exposure" not in features(worlds[0], cameras, even)
    assert "changing_exposure" in features(worlds[0], cameras, rising)


def test_names_of_the_atlas_are_those_of_the_palette():
    for name in PAINTERS:
        rows = np.flatnonzero(np.isin(module.TEXTURES, name))
        assert rows.tolist() == list(PALETTE.rows[name])
