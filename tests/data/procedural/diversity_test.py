"""Worlds are no copies of one another, and copies would be found."""

import dataclasses
import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from aw_jax.core.pytrees import replace
from aw_jax.data.procedural import diversity
from aw_jax.data.procedural.captures import CaptureConfig, capture
from aw_jax.data.procedural.diversity import FLOORS, distance, nearest, signature
from aw_jax.data.procedural.rendering import photograph
from aw_jax.data.procedural.seeds import TEST
from aw_jax.data.procedural.worlds import scene

SCRIPT = Path(__file__).parents[3] / "scripts/measure_scenes.py"
CONFIG = CaptureConfig(frames=1, width=49, height=49, attempts=1)


@pytest.fixture(scope="module")
def few():
    worlds = [scene(seed, texture_size=32) for seed in TEST[:12]]
    photos = [np.asarray(photograph(w, capture(w, CONFIG)), float) for w in worlds]
    return (
        worlds,
        photos,
        [signature(w, p) for w, p in zip(worlds, photos, strict=True)],
    )


def _stacked(signatures, name):
    return np.stack([one[name] for one in signatures])


@pytest.mark.parametrize("name", list(FLOORS))
def test_no_two_of_a_few_worlds_are_neighbours(few, name):
    assert nearest(_stacked(few[2], name)).min() > FLOORS[name]


@pytest.mark.parametrize("name", list(FLOORS))
def test_a_world_seen_twice_fails_the_floor(few, name):
    twice = [*few[2], few[2][5]]
    gaps = nearest(_stacked(twice, name))
    assert gaps[5] == gaps[12] == 0
    assert (np.delete(gaps, [5, 12]) > FLOORS[name]).all()


def test_another_walk_through_the_same_world_fails_the_floor_of_layout(few):
    worlds, _, signatures = few
    walk = capture(worlds[3], CONFIG, variant=1)
    photos = np.asarray(photograph(worlds[3], walk), float)
    other = signature(worlds[3], photos)
    assert distance(other["layout"], signatures[3]["layout"]) == 0
    assert distance(other["color"], signatures[3]["color"]) > 0


def test_distance_is_the_share_that_has_to_move():
    a = np.array([0.5, 0.5, 0.0])
    np.testing.assert_allclose(distance(a, np.array([0.5, 0.2, 0.3])), 0.3)
    np.testing.assert_allclose(distance(a, np.array([0.0, 0.0, 1.0])), 1.0)


def test_histograms_count_colors_and_edges():
    image = np.zeros((1, 8, 8, 3))
    image[..., 4:, :] = 1.0
    colors = diversity.colors(image)
    assert colors[0] == colors[-1] == 0.5
    found = diversity.gradients(image).reshape(4, -1)
    np.testing.assert_allclose(found.sum(), 1)
    assert found[3].max() == found[3, 0] == 0.25
    turned = diversity.gradients(image.swapaxes(1, 2)).reshape(4, -1)
    assert turned[3, diversity.ANGLES // 2] == 0.25


def test_the_layout_follows_what_stands_where(few):
    world = few[0][0]
    solids = world.matter.solids
    first = diversity.layout(world)
    np.testing.assert_allclose(first.sum(), 1)
    gaps = []
    for step in (0.02, 0.3):
        moved = replace(solids, centers=solids.centers + np.float32([step, 0, 0]))
        matter = replace(world.matter, solids=moved)
        other = diversity.layout(dataclasses.replace(world, matter=matter))
        gaps.append(float(distance(first, other)))
    assert 0 < gaps[0] < 0.05 < gaps[1]


@pytest.mark.slow
def test_three_hundred_worlds_show_each_feature_and_keep_their_distance(capsys):
    runpy.run_path(str(SCRIPT))["main"]()
    told = json.loads(capsys.readouterr().out)
    assert told["worlds"] == 300
    assert min(told["features"].values()) >= 0.1
    for found in told["nearest"].values():
        assert found["nearest, least 5 % half"][0] > found["floor"] > 0
        assert found["farther than the same world"] > 0.5
