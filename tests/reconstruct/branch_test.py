"""A fit that is stopped goes on from its newest snapshot, whatever it has grown to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.geometry.cameras import Cameras
from aw_jax.reconstruct.branch import fit_to
from aw_jax.runs.checkpoints import Checkpoints
from aw_jax.splat import fit
from aw_jax.splat.fit_config import DensifyConfig, FitConfig, Schedule
from aw_jax.splat.targets import Targets

KEY = jax.random.key(0)
CONFIG = FitConfig(
    steps=40,
    capacity=16,
    first_capacity=8,
    sh_degree=0,
    densify=DensifyConfig(gradient=0.0),
    schedule=Schedule(
        length=40, densify_start=5, densify_stop=35, densify_every=10, quiet=1
    ),
)


@pytest.fixture(scope="module")
def begun():
    """Six Gaussians that all want to double, and what fits them."""
    draw = np.random.default_rng(0)
    cameras = Cameras(
        camera_from_world=jnp.eye(4).at[2, 3].set(4)[None],
        intrinsics=jnp.asarray([[[16.0, 0, 8], [0, 16, 8], [0, 0, 1]]]),
        width=16,
        height=16,
    )
    images = jnp.asarray(draw.uniform(size=(1, 16, 16, 3)), jnp.float32)
    points = draw.uniform(-1, 1, (6, 3))
    state = fit.initial_state(
        points, np.abs(points), scene_scale=1.0, config=CONFIG, key=KEY
    )
    return state, (Targets(images=images, cameras=cameras),)


def run(begun, folder, until):
    state, targets = begun
    return fit_to(
        state, targets, config=CONFIG, until=until, key=KEY, folder=folder, save_every=8
    )


def assert_same_bits(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_fit_resumes_from_a_snapshot_that_has_grown(begun, tmp_path):
    whole = run(begun, tmp_path, 10)
    assert (len(begun[0].alive), len(whole.alive)) == (8, 16)
    assert_same_bits(run(begun, tmp_path, 10), whole)  # nothing is left to do


def test_a_snapshot_that_notes_no_rows_has_those_of_the_start(begun, tmp_path):
    half = fit.run(*begun, config=CONFIG, until=4, key=KEY)
    saved = Checkpoints(tmp_path / "old")
    saved.save(4, half, notes={})
    saved.close()
    assert_same_bits(run(begun, tmp_path / "old", 8), run(begun, tmp_path / "new", 8))
