"""Guided matches on features whose partners are known."""

import dataclasses

import numpy as np
import pytest

from aw_jax.data.epipolar import fundamental
from aw_jax.data.features import Features, detect
from aw_jax.data.matching import MatchingConfig, match
from aw_jax.data.photos import load_photo
from aw_jax.data.scenes import load_scene

CONFIG = MatchingConfig()
K = np.array([[100.0, 0, 64], [0, 110.0, 48], [0, 0, 1]])


def pose(offset, turn):
    c, s = np.cos(turn), np.sin(turn)
    matrix = np.eye(4)
    matrix[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    matrix[:3, 3] = offset
    return matrix


def seen(points, descriptors, camera_from_world):
    local = points @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    pixels = local @ K.T
    return Features(
        positions=pixels[:, :2] / pixels[:, 2:],
        descriptors=descriptors.astype(np.float32),
        colors=np.zeros((len(points), 3), np.float32),
        intrinsics=K,
        camera_from_world=camera_from_world,
        width=128,
        height=96,
    )


@pytest.fixture
def world():
    rng = np.random.default_rng(5)
    points = rng.uniform([-2, -1.5, 4], [2, 1.5, 6], (60, 3))
    return points, rng.integers(0, 256, (60, 128))


@pytest.fixture
def two(world):
    left, right = pose((0.5, 0.1, 0), 0.05), pose((-0.5, 0, 0.1), -0.05)
    return seen(*world, left), seen(*world, right)


def test_fundamental_matrix_vanishes_on_pixels_of_one_point(two):
    a, b = (np.pad(f.positions, ((0, 0), (0, 1)), constant_values=1.0) for f in two)
    residual = np.einsum("ni,ij,nj->n", b, fundamental(*two), a)
    scale = np.abs(fundamental(*two)).max()
    np.testing.assert_allclose(residual / scale, 0, atol=1e-7)


def test_every_point_is_matched_to_itself(two):
    assert match(*two, CONFIG).tolist() == [[i, i] for i in range(60)]


def test_a_shuffle_changes_nothing_but_indices(world, two):
    points, descriptors = world
    order = np.random.default_rng(0).permutation(60)
    shuffled = seen(points[order], descriptors[order], two[1].camera_from_world)
    assert all(order[j] == i for i, j in match(two[0], shuffled, CONFIG))


def test_twins_off_the_epipolar_line_do_not_disturb(two):
    right = two[1]
    twin = np.concatenate([right.positions, right.positions + [0, 30]])
    both = dataclasses.replace(
        right,
        positions=twin,
        descriptors=np.concatenate([right.descriptors] * 2),
        colors=np.zeros((120, 3), np.float32),
    )
    pairs = match(two[0], both, CONFIG)
    assert len(pairs) > 40  # a few twins fall on another point's line
    assert all(i == j for i, j in pairs)


def test_twins_on_the_epipolar_line_are_ambiguous(world, two):
    points, descriptors = world
    left, right = two
    center = np.linalg.inv(left.camera_from_world)[:3, 3]
    beyond = center + (points - center) * 1.3  # the same pixel on the left
    everything = np.concatenate([points, beyond])
    both = seen(everything, np.concatenate([descriptors] * 2), right.camera_from_world)
    assert len(match(left, both, CONFIG)) == 0


def test_a_repeated_feature_at_one_place_is_no_rival(world, two):
    points, descriptors = world
    again = seen(
        np.concatenate([points, points]),
        np.concatenate([descriptors] * 2),
        two[1].camera_from_world,
    )
    assert len(match(two[0], again, CONFIG)) == 60


def test_no_features_give_no_matches(world, two):
    nothing = seen(np.empty((0, 3)), np.empty((0, 128)), two[1].camera_from_world)
    assert match(two[0], nothing, CONFIG).shape == (0, 2)
    assert match(nothing, two[0], CONFIG).shape == (0, 2)


def test_detected_features_lie_on_known_pixels_and_carry_their_colour(plane_folder):
    photo = load_photo(load_scene(plane_folder).views[0])
    found = detect(photo, most=8192)
    assert len(found.positions) > 100
    column, row = found.positions.T.astype(int)
    assert photo.known[row, column].all()
    np.testing.assert_array_equal(found.colors, photo.image[row, column])
    assert np.all(found.descriptors == np.round(found.descriptors))
