"""Paths are as smooth as hand-held captures are, and as lively.

Measured on two hand-held tracks, `desk` (29 frames) and the runs of consecutive frames
of `fox`: turning 1.3 and 2.4 degrees a frame (median), 4.0 and 6.7 at most; the
third difference of positions 0.40 and 0.57 of the median step (median), 0.85 and 1.35
(95th percentile); the change of the turning 0.71 and 0.42 of its median (median), 2.3
and 2.2 (95th percentile).
"""

import numpy as np
import pytest

from aw_jax.data.procedural.captures import CaptureConfig, _path
from aw_jax.data.procedural.palette import paint
from aw_jax.data.procedural.seeds import TEST
from aw_jax.data.procedural.worlds import furnished
from aw_jax.geometry.rotations import rotation_angle

FRAMES = 33
TURN = (0.5, 8.0)
"""Degrees a frame."""
JERK, CHANGE = 0.4, 0.71
"""What 95 % of a path's frames stay below: medians of the smoother of the tracks in
jerk, of the livelier in turning."""


def _turns(r):
    """Rotation vectors in degrees between consecutive camera_from_world rotations."""
    step = r[1:] @ r[:-1].swapaxes(-1, -2)
    skew = step - step.swapaxes(-1, -2)
    axis = np.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], axis=-1)
    length = np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-12)
    return np.degrees(rotation_angle(r[:-1], r[1:]))[:, None] * axis / length


def motion(camera_from_world):
    """Turning a frame; jerk in median steps; change of turning in median turns."""
    poses = np.asarray(camera_from_world, float)
    eye = np.linalg.inv(poses)[:, :3, 3]
    step = np.median(np.linalg.norm(np.diff(eye, axis=0), axis=-1))
    turns = _turns(poses[:, :3, :3])
    turn = np.linalg.norm(turns, axis=-1)
    jerk = np.linalg.norm(np.diff(eye, n=3, axis=0), axis=-1) / step
    change = np.linalg.norm(np.diff(turns, axis=0), axis=-1) / np.median(turn)
    return turn, jerk, change


@pytest.fixture(scope="module")
def motions():
    palette = paint(np.random.default_rng(0), size=8)
    found = []
    for seed in TEST[:30]:
        stage = furnished(seed, palette).stage
        rng = np.random.default_rng([seed, 7, 0, 0])
        path = _path(stage, CaptureConfig(frames=FRAMES), rng)
        found.append(motion(path.camera_from_world))
    return found


def test_turning_is_that_of_hand_held_capture(motions):
    for turn, _, _ in motions:
        assert TURN[0] < np.median(turn)
        assert turn.max() < TURN[1]


def test_paths_jerk_less_than_hand_held_tracks(motions):
    for _, jerk, change in motions:
        assert np.percentile(jerk, 95) < JERK
        assert np.percentile(change, 95) < CHANGE


def test_a_jump_of_one_frame_would_be_seen(motions):
    stage = furnished(TEST[0], paint(np.random.default_rng(0), size=8)).stage
    path = _path(stage, CaptureConfig(frames=FRAMES), np.random.default_rng(0))
    poses = np.array(path.camera_from_world, float)
    eye = np.linalg.inv(poses)[:, :3, 3]
    step = np.median(np.linalg.norm(np.diff(eye, axis=0), axis=-1))
    poses[16, :3, 3] += step
    assert np.percentile(motion(poses)[1], 95) > JERK


def test_the_real_tracks_measure_as_stated(real_track):
    turn, jerk, change = motion(real_track("desk"))
    np.testing.assert_allclose(np.median(turn), 1.27, atol=0.05)
    np.testing.assert_allclose(np.median(jerk), 0.40, atol=0.02)
    np.testing.assert_allclose(np.median(change), 0.71, atol=0.02)


@pytest.fixture
def real_track(real_scene):
    return lambda name: np.stack(
        [view.camera_from_world for view in real_scene(name).views]
    )
