"""Splats of all sorts, and a toy that whole fits can afford.

The toy: 40 Gaussians, seen by a ring of small cameras.
"""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from aw_jax.core.arrays import as_numpy
from aw_jax.geometry.cameras import Cameras
from aw_jax.geometry.rotations import look_at
from aw_jax.images.psnr import psnr
from aw_jax.splat import fit
from aw_jax.splat.fit_config import FitConfig, LearningRates, McmcConfig, Schedule
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.rasterize import render
from aw_jax.splat.targets import Targets

KEY = jax.random.key(1)
COUNT, SIZE, SCALE = 40, 24, 3.85
CONFIG = FitConfig(
    steps=200,
    capacity=80,
    schedule=Schedule(
        length=200,
        sh_every=1000,
        densify_start=10,
        densify_stop=150,
        densify_every=20,
        reset_every=1000,
        quiet=20,
    ),
    sh_degree=0,
    rates=LearningRates(  # 200 steps are few
        means=2e-3, sh_constant=2e-2, poses=1e-3, poses_decay=0.1
    ),
)

CHAIN = McmcConfig(cap=50)


def world():
    """Opaque Gaussians in a cube of side 2."""
    draw = np.random.default_rng(0)
    return Splat(
        means=jnp.asarray(draw.uniform(-1, 1, (COUNT, 3)), jnp.float32),
        log_scales=jnp.asarray(np.log(draw.uniform(0.1, 0.4, (COUNT, 3))), jnp.float32),
        quats=jnp.asarray(draw.normal(size=(COUNT, 4)), jnp.float32),
        logit_opacities=jnp.full(COUNT, 2.0),
        sh=jnp.asarray(draw.normal(size=(COUNT, 1, 3)), jnp.float32),
    )


def cameras(count, phase=0.0, unit=1.0):
    """On a ring of radius 3.5 units that goes up and down, looking at the centre."""
    angles = 2 * np.pi * (np.arange(count) + phase) / count
    eyes = np.stack([np.cos(angles), 0.3 * np.sin(3 * angles), np.sin(angles)], -1)
    up = np.asarray([0, -1.0, 0])
    poses = [look_at(3.5 * unit * eye, np.zeros(3), up) for eye in eyes]
    focal, middle = 1.1 * SIZE, SIZE / 2
    intrinsics = np.asarray([[focal, 0, middle], [0, focal, middle], [0, 0, 1]])
    return Cameras(
        camera_from_world=jnp.asarray(np.stack(poses), jnp.float32),
        intrinsics=jnp.tile(jnp.asarray(intrinsics, jnp.float32), (count, 1, 1)),
        width=SIZE,
        height=SIZE,
    )


photograph = jax.jit(lambda splat, cameras: render(splat, cameras).color)


@functools.cache
def photos(count=6, phase=0.0):
    seen = cameras(count, phase)
    return Targets(images=photograph(world(), seen), cameras=seen)


def begin(config=CONFIG, *, photos=0, unit=1.0):
    """From the true centres, displaced by a twentieth, in one grey."""
    draw = np.random.default_rng(1)
    points = np.asarray(world().means) + 0.05 * draw.normal(size=(COUNT, 3))
    return fit.initial_state(
        points * unit,
        np.full((COUNT, 3), 0.5),
        scene_scale=SCALE * unit,
        config=config,
        key=KEY,
        photos=photos,
    )


def novel_psnr(state):
    """On views that no fit looks at."""
    unseen = photos(6, 0.37)
    return float(psnr(photograph(state.splat, unseen.cameras), unseen.images).mean())


def assert_same_bits(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="session")
def toy():
    return SimpleNamespace(
        KEY=KEY,
        COUNT=COUNT,
        SCALE=SCALE,
        CONFIG=CONFIG,
        CHAIN=CHAIN,
        world=world,
        cameras=cameras,
        photos=photos,
        begin=begin,
        novel_psnr=novel_psnr,
        assert_same_bits=assert_same_bits,
    )


@pytest.fixture
def draw_splat():
    """Gaussians all over, with values that every file format holds."""

    def call(count=40, degree=3, seed=0):
        draw = np.random.default_rng(seed)
        given = {
            "means": draw.normal(0, 2, (count, 3)),
            "log_scales": draw.normal(-3, 1, (count, 3)),
            "quats": draw.normal(0, 1, (count, 4)),
            "logit_opacities": draw.normal(0, 1.5, count),
            "sh": draw.uniform(-0.9, 0.9, (count, (degree + 1) ** 2, 3)),
        }
        return Splat(**{k: jnp.asarray(v, jnp.float32) for k, v in given.items()})

    return call


@pytest.fixture
def errors():
    """The largest error of each parameter between two splats, as a file sees it."""

    def turned(splat):
        quats = splat.quats.astype(np.float64)
        return quats / np.linalg.norm(quats, axis=1, keepdims=True)

    def call(a, b):
        a, b = as_numpy(a), as_numpy(b)
        far = lambda x, y: np.abs(x - y).max(initial=0)
        opacity = lambda splat: special.expit(splat.logit_opacities)
        sign = np.sign(np.sum(turned(a) * turned(b), axis=1, keepdims=True))
        return {
            "position": far(a.means, b.means),
            "size": far(a.log_scales, b.log_scales),
            "rotation": far(turned(a), sign * turned(b)),
            "opacity": far(opacity(a), opacity(b)),
            "color": far(a.sh[:, 0], b.sh[:, 0]),
            "first": far(a.sh[:, 1:4], b.sh[:, 1:4]),
            "higher": far(a.sh[:, 4:], b.sh[:, 4:]),
        }

    return call
