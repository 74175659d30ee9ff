"""The gate: what it measures, and the name of each fault."""

import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.data.procedural.captures import pinhole
from aw_jax.dataengine.gate import GateConfig, figures, motion, refusal
from aw_jax.geometry.rotations import look_at


def orbit(degrees, *, frames=3, radius=2.0):
    """Around the origin, so many degrees a frame."""
    angles = np.radians(degrees) * np.arange(frames)
    eye = radius * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=-1)
    return pinhole(
        look_at(eye, np.zeros_like(eye), np.tile([0.0, 0, 1], (frames, 1))), 1.0, 8, 8
    )


def _clip(**changes):
    rng = np.random.default_rng(0)
    clean = rng.uniform(0.2, 0.8, size=(3, 8, 8, 3)).astype(np.float32)
    values = {
        "clean": clean,
        "artifact": np.clip(clean + 0.1, 0, 1),
        "alpha": np.ones((3, 8, 8), np.float32),
        "depth": np.full((3, 8, 8), 2.0, np.float32),
        "cameras": orbit(2.0),
    }
    values |= changes
    return figures(values.pop("clean"), values.pop("artifact"), **values)


def test_the_gate_names_each_fault():
    clean = np.full((3, 8, 8, 3), 0.5, np.float32)
    noise = np.random.default_rng(1).uniform(size=(3, 8, 8, 3)).astype(np.float32)
    close = np.full((3, 8, 8), 2.0, np.float32)
    close[1, :2] = 0.05
    cases = {
        "hardly moving": {"cameras": orbit(0.2)},
        "moving too fast": {"cameras": orbit(11.0)},
        "too plain": {"clean": clean, "artifact": clean + 0.1},
        "not covered": {"alpha": np.full((3, 8, 8), 0.2, np.float32)},
        "camera inside something": {"depth": close},
        "too broken": {"clean": noise, "artifact": noise.round()[..., ::-1]},
    }
    assert refusal(_clip(), GateConfig()) is None
    for name, changes in cases.items():
        assert refusal(_clip(**changes), GateConfig()) == name


@pytest.mark.parametrize("degrees", [0.5, 3.0, 20.0])
def test_motion_is_the_angle_of_an_orbit(degrees):
    assert motion(orbit(degrees), distance=2.0) == pytest.approx(degrees, rel=2e-2)


def test_motion_without_turning_is_the_angle_of_the_way():
    poses = np.tile(np.eye(4), (5, 1, 1))
    poses[:, 0, 3] = 0.1 * np.arange(5)
    cameras = pinhole(jnp.asarray(poses), 1.0, 8, 8)
    assert motion(cameras, distance=0.1) == pytest.approx(45.0, rel=1e-4)


def test_where_a_splat_shows_nothing_the_camera_stands_in_nothing():
    depth = np.full((3, 8, 8), 2.0, np.float32)
    depth[:, :1] = 0
    assert _clip(depth=depth).clearance == _clip().clearance
