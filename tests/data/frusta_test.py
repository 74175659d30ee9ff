"""Where random points fall when the poses say little."""

from pathlib import Path

import numpy as np
import pytest

from aw_jax.data.frusta import sample_frusta
from aw_jax.data.views import View

NOTHING = np.empty((0, 3))


def view(center, turn=0.0):
    c, s = np.cos(turn), np.sin(turn)
    pose = np.eye(4)
    pose[:3, :3] = [[c, 0, -s], [0, 1, 0], [s, 0, c]]
    pose[:3, 3] = -pose[:3, :3] @ np.array(center, float)
    return View(
        name=str(center),
        image_path=Path("none.png"),
        camera_from_world=pose,
        intrinsics=np.array([[50.0, 0, 32], [0, 50.0, 24], [0, 0, 1]]),
        width=64,
        height=48,
    )


@pytest.fixture
def parallel():
    return [view((x, 0, 0)) for x in (-1, 0, 1)]


def depths(views, *, around=NOTHING, seed=0):
    return sample_frusta(views, 400, around=around, seed=seed)[:, 2]


def test_cameras_that_look_at_one_place_get_points_around_it():
    toward = [view((5 * np.sin(a), 0, -5 * np.cos(a)), -a) for a in (-0.5, 0, 0.5)]
    assert np.all(
        np.abs(np.median(sample_frusta(toward, 4000, around=NOTHING, seed=0), axis=0))
        < 1
    )


def test_parallel_cameras_get_points_by_their_spacing(parallel):
    assert 0.9 <= depths(parallel).min() < 1.2
    assert 8 < depths(parallel).max() <= 9


def test_cameras_at_one_place_get_points_at_unit_distance():
    z = depths([view((0, 0, 0))] * 3)
    assert z.min() >= 0.3
    assert z.max() <= 3


def test_known_points_set_the_depths(parallel):
    known = np.column_stack([np.zeros(100), np.zeros(100), np.linspace(20, 30, 100)])
    z = depths(parallel, around=known)
    assert 20 / 1.3 < z.min() < 17
    assert 34 < z.max() < 30 * 1.3


def test_few_known_points_are_not_trusted(parallel):
    known = np.column_stack([np.zeros(9), np.zeros(9), np.full(9, 500.0)])
    assert depths(parallel, around=known).max() <= 9


def test_the_same_seed_draws_the_same_points(parallel):
    np.testing.assert_array_equal(depths(parallel), depths(parallel))
    assert not np.array_equal(depths(parallel), depths(parallel, seed=1))
