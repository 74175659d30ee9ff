"""Where random points fall when the poses say little."""

import dataclasses
from pathlib import Path

import cv2
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


def test_no_point_falls_on_what_a_mask_blackens(tmp_path):
    used = np.zeros((48, 64), np.uint8)
    used[5:20, 40:] = used[30, 3] = 255
    photo, mask = tmp_path / "a.png", tmp_path / "mask.png"
    cv2.imwrite(str(photo), np.zeros((48, 64, 3), np.uint8))
    cv2.imwrite(str(mask), used)
    masked = dataclasses.replace(view((1, 2, 3)), image_path=photo, mask_path=mask)
    points = sample_frusta([masked], 4000, around=NOTHING, seed=0)
    local = points - masked.center
    x, y = (local @ masked.intrinsics.T / local[:, 2:])[:, :2].T
    counts = np.zeros((48, 64))
    np.add.at(counts, (y.astype(int), x.astype(int)), 1)
    assert np.all(counts[used == 0] == 0)
    assert np.all(counts[used > 0] > 0)  # 11 a pixel are expected
    assert np.abs(np.mean([x % 1, y % 1], axis=-1) - 0.5).max() < 0.02


def test_a_mask_leaves_the_points_of_other_views_alone(parallel, tmp_path):
    photo = tmp_path / "white.png"
    cv2.imwrite(str(photo), np.full((48, 64), 255, np.uint8))
    first = dataclasses.replace(parallel[0], image_path=photo, mask_path=photo)
    plain = sample_frusta(parallel, 400, around=NOTHING, seed=0)
    masked = sample_frusta([first, *parallel[1:]], 400, around=NOTHING, seed=0)
    same = np.all(plain == masked, axis=-1)
    theirs = np.random.default_rng(0).integers(3, size=400) != 0
    np.testing.assert_array_equal(same, theirs)
