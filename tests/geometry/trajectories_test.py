"""Paths between training views: exact ends, even steps, smooth, in any frame."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.geometry.alignment import aligned_frame, rigid_parts
from aw_jax.geometry.cameras import Cameras
from aw_jax.geometry.paths import through
from aw_jax.geometry.rotations import look_at, matrix_from_quat, rotation_angle
from aw_jax.geometry.trajectories import (
    TrajectoryConfig,
    orbit,
    pairs,
    reference_trajectories,
    reference_trajectory,
)

UP = np.array([0.0, 0.0, 1.0])


def _cameras(poses):
    poses = jnp.asarray(np.asarray(poses), jnp.float32)
    k = jnp.asarray([[80.0, 0, 48], [0, 80.0, 48], [0, 0, 1]])
    lenses = jnp.broadcast_to(k, (len(poses), 3, 3))
    return Cameras(camera_from_world=poses, intrinsics=lenses, width=96, height=96)


def _ring(count=6, sweep=2.0, seed=0, target=(0.0, 0.0, 0.5)):
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, sweep, count) + 0.05 * rng.normal(size=count)
    radius = 3 + 0.2 * rng.normal(size=count)
    height = 1.2 + 0.3 * rng.normal(size=count)
    eyes = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], -1)
    aims = np.array(target) + 0.1 * rng.normal(size=(count, 3))
    return _cameras(look_at(eyes, aims, np.tile(UP, (count, 1))))


def _captures():
    eyes = np.stack([np.linspace(-1, 1, 4), np.zeros(4), np.ones(4)], -1)
    ahead = np.tile([0.0, 1.0, 0.0], (4, 1))
    outward = _ring(5, sweep=5.0)
    flip = np.diag([-1.0, 1.0, -1.0, 1.0])
    centre = np.asarray(outward.camera_from_world) * 1.0
    return {
        "ring": _ring(),
        "two views": _ring(2, sweep=0.5),
        "three views": _ring(3),
        "full turn": _ring(12, sweep=5.8),
        "collinear, parallel": _cameras(
            look_at(eyes, eyes + ahead, np.tile(UP, (4, 1)))
        ),
        "outward": _cameras(flip @ centre),
        "one place": _cameras(
            look_at(
                np.zeros((2, 3)),
                np.array([[1, 0.2, 0], [1, -0.5, 0.1]]),
                np.tile(UP, (2, 1)),
            )
        ),
        "radial": _cameras(
            look_at(
                np.array([[2.0, 0, 1], [4.0, 0, 1]]),
                np.zeros((2, 3)),
                np.tile(UP, (2, 1)),
            )
        ),
        "from above": _cameras(
            look_at(
                np.array([[0.3, 0, 4], [-0.3, 0.1, 4]]),
                np.zeros((2, 3)),
                np.tile([0.0, 1, 0], (2, 1)),
            )
        ),
    }


CAPTURES = _captures()
CASES = [(name, round_) for name in CAPTURES for round_ in (0, 2)]


def _path(name, round_=0, frames=25, phase=0.3):
    training = CAPTURES[name]
    start, end = pairs(training, count=1, round=round_)[0]
    path = reference_trajectory(
        training, start=start, end=end, frames=frames, round=round_, phase=phase
    )
    return training, start, end, path


@pytest.mark.parametrize(("name", "round_"), CASES)
def test_ends_are_the_training_views_to_the_bit(name, round_):
    training, start, end, path = _path(name, round_)
    assert len(path.camera_from_world) == 25
    for frame, view in ((0, start), (-1, end)):
        ours, theirs = path[frame], training[view]
        assert np.array_equal(ours.camera_from_world, theirs.camera_from_world)
        assert np.array_equal(ours.intrinsics, theirs.intrinsics)


@pytest.mark.parametrize(("name", "round_"), CASES)
def test_every_pose_is_rigid_and_finite(name, round_):
    *_, path = _path(name, round_)
    r, _ = rigid_parts(path)
    np.testing.assert_allclose(r @ r.swapaxes(-1, -2), np.eye(3) + 0 * r, atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(r), 1, atol=1e-5)


@pytest.mark.parametrize(("name", "round_"), CASES)
def test_steps_are_equally_long_and_none_is_doubled(name, round_):
    *_, path = _path(name, round_, frames=49)
    _, eyes = rigid_parts(path)
    steps = np.linalg.norm(np.diff(eyes, axis=0), axis=-1)
    if name == "one place":
        assert steps.max() < 1e-3
    else:
        assert steps.max() < 1.06 * steps.min() + 1e-5


@pytest.mark.parametrize(("name", "round_"), CASES)
def test_the_view_turns_smoothly(name, round_):
    *_, path = _path(name, round_, frames=49)
    r, _ = rigid_parts(path)
    turns = rotation_angle(r[:-1], r[1:])
    assert turns.max() < np.radians(12)
    assert np.abs(np.diff(turns)).max() < np.radians(2.5)


@pytest.mark.parametrize("name", ["ring", "three views", "full turn", "two views"])
def test_the_path_stays_near_the_captures_hull(name):
    for round_ in range(3):
        training, *_, path = _path(name, round_)
        frame = aligned_frame(training)
        views, eyes = (frame.points(rigid_parts(c)[1]) for c in (training, path))
        reach = np.linalg.norm(views[:, :2], axis=-1)
        radius = np.linalg.norm(eyes[:, :2], axis=-1)
        assert radius.max() < 1.5 * reach.max()
        assert radius.min() > 0.5 * reach.min()
        band = np.ptp(views[:, 2]) + 1e-3
        assert eyes[:, 2].max() < views[:, 2].max() + 0.5 * band
        assert eyes[:, 2].min() > views[:, 2].min() - 0.5 * band


@pytest.mark.parametrize(
    "name", ["ring", "two views", "collinear, parallel", "outward"]
)
def test_turning_moving_and_scaling_the_world_moves_the_path_along(name):
    training, start, end, path = _path(name)
    turn = np.asarray(matrix_from_quat(np.array([0.3, -0.5, 0.7, 0.2])))
    scale, shift = 4.0, np.array([1.0, -2.0, 3.0])
    rotations, eyes = rigid_parts(training)
    moved = np.tile(np.eye(4), (len(eyes), 1, 1))
    moved[:, :3, :3] = rotations @ turn.T
    places = scale * eyes @ turn.T + shift
    moved[:, :3, 3] = -np.einsum("vij,vj->vi", moved[:, :3, :3], places)
    other = reference_trajectory(
        _cameras(moved), start=start, end=end, frames=25, phase=0.3
    )
    r, c = rigid_parts(path)
    ours = scale * c @ turn.T + shift, r @ turn.T
    np.testing.assert_allclose(rigid_parts(other)[1], ours[0], atol=2e-2)
    assert rotation_angle(rigid_parts(other)[0], ours[1]).max() < 5e-3


def test_the_middle_of_the_path_looks_at_the_focus():
    training, *_, path = _path("ring")
    rotations, eyes = rigid_parts(path)
    way = aligned_frame(training).origin - eyes
    cosine = (rotations[:, 2] * way).sum(-1) / np.linalg.norm(way, axis=-1)
    assert cosine[9:16].min() > 0.9999
    assert cosine.min() > 0.95


def test_rounds_and_phases_give_other_paths():
    training = CAPTURES["ring"]
    paths = [
        reference_trajectory(training, start=0, end=1, frames=25, round=r, phase=p)
        for r, p in ((0, 0.0), (1, 0.0), (0, 0.5))
    ]
    eyes = [rigid_parts(path)[1] for path in paths]
    assert np.abs(eyes[0] - eyes[1]).max() > 0.05
    assert np.abs(eyes[0] - eyes[2]).max() > 0.01


@pytest.mark.parametrize("name", list(CAPTURES))
@pytest.mark.parametrize("round_", [0, 1, 2])
def test_pairs_differ_and_cover_the_capture(name, round_):
    views = len(CAPTURES[name].intrinsics)
    found = pairs(CAPTURES[name], count=2 * views, round=round_)
    assert len(found) == 2 * views
    assert all(start != end for start, end in found)
    assert {view for pair in found for view in pair} == set(range(views))


def test_pairs_of_round_zero_are_neighbours():
    found = pairs(_ring(7, sweep=3.0), count=6)
    assert all(abs(start - end) == 1 for start, end in found)
    assert len(set(found)) == 6


def test_one_view_makes_no_trajectory():
    with pytest.raises(UserError, match="2 training views"):
        pairs(_ring(2)[:1], count=1)


def test_trajectories_of_a_round_depend_on_the_key_alone():
    training, key = CAPTURES["ring"], jax.random.key(3)
    a, b = (
        reference_trajectories(training, count=4, frames=9, round=1, key=key)
        for _ in range(2)
    )
    for one, two in zip(a, b, strict=True):
        assert (one.start, one.end) == (two.start, two.end)
        assert np.array_equal(
            one.cameras.camera_from_world, two.cameras.camera_from_world
        )


def test_an_orbit_goes_around_once_and_looks_inwards():
    path = orbit(CAPTURES["full turn"], 40)
    rotations, eyes = rigid_parts(path)
    steps = np.linalg.norm(eyes - np.roll(eyes, 1, axis=0), axis=-1)
    np.testing.assert_allclose(steps, steps.mean(), rtol=0.05)
    way = aligned_frame(CAPTURES["full turn"]).origin - eyes
    assert ((rotations[:, 2] * way).sum(-1) > 0).all()


@pytest.mark.parametrize("name", list(CAPTURES))
def test_a_spline_passes_through_its_views(name):
    keys = CAPTURES[name]
    path = through(keys, 61)
    assert np.array_equal(path.camera_from_world[0], keys.camera_from_world[0])
    assert np.array_equal(path.camera_from_world[-1], keys.camera_from_world[-1])
    _, eyes = rigid_parts(path)
    gaps = np.linalg.norm(eyes[None] - rigid_parts(keys)[1][:, None], axis=-1).min(1)
    steps = np.linalg.norm(np.diff(eyes, axis=0), axis=-1)
    assert gaps.max() < steps.max() + 1e-5


def test_a_configuration_can_hold_the_radius():
    training = CAPTURES["ring"]
    still = TrajectoryConfig(radius_step=0.0, height_step=0.0, pitch_step=0.0)
    a, b = (
        reference_trajectory(training, start=0, end=1, frames=9, round=r, config=still)
        for r in (0, 2)
    )
    assert np.array_equal(a.camera_from_world, b.camera_from_world)
