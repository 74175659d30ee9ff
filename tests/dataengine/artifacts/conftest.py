"""A wall and a ball, 800 Gaussians, seen along nine frames of 48 x 48 pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.data.procedural.captures import pinhole
from aw_jax.dataengine.artifacts.breaking import EDITS, drafts
from aw_jax.dataengine.artifacts.subject import subject as look
from aw_jax.geometry.rotations import look_at
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.harmonics import sh_from_rgb

FRAMES, SIZE = 9, 48
TARGET = np.array([0.0, 0.0, 4.0])


def walk(sweep):
    """Nine cameras on an arc of `sweep` radians around the target, 4 away."""
    angles = np.linspace(-sweep / 2, sweep / 2, FRAMES)
    away = np.stack([np.sin(angles), 0 * angles, -np.cos(angles)], axis=-1)
    up = np.array([0.0, -1.0, 0.0])
    poses = np.stack([look_at(TARGET + 4 * x, TARGET, up) for x in away])
    return pinhole(poses, np.radians(55), SIZE, SIZE)


def _splat():
    rng = np.random.default_rng(5)
    x, y = np.meshgrid(np.linspace(-3.5, 3.5, 27), np.linspace(-3.5, 3.5, 27))
    wall = np.stack([x.ravel(), y.ravel(), np.full(x.size, 4.5)], axis=-1)
    ball = rng.normal(size=(800 - len(wall), 3))
    ball = TARGET + 0.5 * ball / np.linalg.norm(ball, axis=-1, keepdims=True)
    means = np.concatenate([wall, ball])
    color = rng.uniform(0.1, 0.9, size=(len(means), 3))
    sizes = np.where(np.arange(len(means)) < len(wall), 0.2, 0.12)
    log_scales = np.log(sizes)[:, None] + rng.uniform(-0.4, 0.2, size=(len(means), 3))
    sh = np.zeros((len(means), 4, 3))
    sh[:, 0] = sh_from_rgb(color)
    rows = (means, log_scales, rng.normal(size=(len(means), 4)))
    means, log_scales, quats = (jnp.asarray(x, jnp.float32) for x in rows)
    return Splat(
        means=means,
        log_scales=log_scales,
        quats=quats,
        logit_opacities=jnp.full(len(means), 3.0),
        sh=jnp.asarray(sh, jnp.float32),
    )


@pytest.fixture(scope="session")
def subject():
    return look(_splat(), walk(0.5), walk(1.2))


@pytest.fixture(scope="session")
def broken(subject):
    """The draft that named severities make of a frame; one program for all tests."""

    def at(seed=0, frame=0, **severities):
        strengths = {n: jnp.float32(severities.get(n, 0.0)) for n in EDITS}
        made = drafts(subject, strengths, jax.random.key(seed))
        return jax.tree.map(lambda x: x[frame], made)

    return at
