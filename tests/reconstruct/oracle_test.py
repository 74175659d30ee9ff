"""The loop with restorers whose answer is known: the truth, the input, noise.

A procedural scene, four training views 0.6 radians apart, 27 test views between them.
"""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.pytrees import replace
from aw_jax.data.procedural import captures, rendering, worlds
from aw_jax.data.procedural.seeds import TEST
from aw_jax.reconstruct.clips import RestoredClip
from aw_jax.reconstruct.closed_loop import LoopConfig, Watch
from aw_jax.reconstruct.config import ReconstructConfig
from aw_jax.reconstruct.measure import mean_psnr
from aw_jax.reconstruct.run import Start, reconstruct
from aw_jax.splat.fit_config import FitConfig
from aw_jax.splat.targets import Targets

SIDE = 48
SEED = TEST[2]
WATCH = Watch(phase=lambda name: contextlib.nullcontext())
CONFIG = ReconstructConfig(
    fit=FitConfig(capacity=4000, sh_degree=1),
    loop=LoopConfig(
        base_steps=400,
        rounds=1,
        round_steps=300,
        clips=3,
        frames=25,
        width=SIDE,
        height=SIDE,
        save_every=1000,
    ),
)


@pytest.fixture(scope="module")
def world():
    return worlds.scene(SEED)


@pytest.fixture(scope="module")
def views(world):
    """(training, test): every tenth of 31 frames of a path, and those between."""
    config = captures.CaptureConfig(
        frames=31, width=SIDE, height=SIDE, sweep=(1.8, 1.8)
    )
    cameras = captures.capture(world, config)
    images = rendering.photograph(world, cameras)
    everything = Targets(images=images, cameras=cameras)
    train = np.arange(0, 31, 10)
    test = np.setdiff1d(np.arange(31), train)
    pick = lambda rows: (jax.tree.map(lambda x: x[rows], everything),)
    return pick(train), pick(test)


@pytest.fixture(scope="module")
def start(world, views):
    """A thousand points on the surfaces that the training views see, as SfM gives."""
    cameras = views[0][0].cameras
    depth = np.asarray(rendering.depths(world, cameras))
    images = np.asarray(views[0][0].images)
    rng = np.random.default_rng(0)
    points, colors = [], []
    for v in range(len(images)):
        rows = rng.integers(0, SIDE, (400, 2))
        z = depth[v, rows[:, 0], rows[:, 1]]
        rows, z = rows[z < 100], z[z < 100]
        pixels = np.stack([rows[:, 1] + 0.5, rows[:, 0] + 0.5, np.ones(len(rows))], 1)
        local = pixels @ np.linalg.inv(cameras.intrinsics[v]).T * z[:, None]
        world_from_camera = np.linalg.inv(cameras.camera_from_world[v])
        points.append(local @ world_from_camera[:3, :3].T + world_from_camera[:3, 3])
        colors.append(images[v, rows[:, 0], rows[:, 1]])
    return Start(
        points=np.concatenate(points).astype(np.float32),
        colors=np.concatenate(colors).astype(np.float32),
    )


def gain(result, test):
    repaired = mean_psnr(result.outcome.repaired, test)
    return repaired - mean_psnr(result.outcome.baseline, test)


def run(views, start, restore, folder, config=CONFIG):
    return reconstruct(
        views[0],
        start,
        restore,
        config=config,
        key=jax.random.key(0),
        folder=folder,
        watch=WATCH,
    )


def no_heat(clip):
    return jnp.zeros(clip.alpha.shape)


def test_the_truth_gains_two_decibels(world, views, start, tmp_path):
    def truth(clip, key):
        frames = rendering.photograph(world, clip.cameras)
        return RestoredClip(frames=frames, heatmap=no_heat(clip))

    result = run(views, start, truth, tmp_path)
    assert gain(result, views[1]) >= 2.0
    assert result.verdict.kind == "withheld"
    assert result.verdict.kept == "repaired"


def test_the_input_changes_next_to_nothing(views, start, tmp_path):
    def unchanged(clip, key):
        return RestoredClip(frames=clip.artifact, heatmap=no_heat(clip))

    result = run(views, start, unchanged, tmp_path)
    assert abs(gain(result, views[1])) < 0.3


def test_the_guard_keeps_the_baseline_from_noise(views, start, tmp_path):
    def noise(clip, key):
        frames = jax.random.uniform(key, clip.artifact.shape)
        return RestoredClip(frames=frames, heatmap=no_heat(clip))

    result = run(views, start, noise, tmp_path)
    assert result.verdict.kept == "baseline"
    np.testing.assert_array_equal(result.final.means, result.outcome.baseline.means)


def test_clips_that_stray_from_the_photos_are_refused_and_named(views, start, tmp_path):
    def black(clip, key):
        return RestoredClip(frames=0 * clip.artifact, heatmap=no_heat(clip))

    short = replace(CONFIG.loop, base_steps=20, round_steps=10)
    config = replace(CONFIG, loop=short)
    result = run(views, start, black, tmp_path, config)
    refused = result.outcome.rounds[0]["refused"]
    assert [item["clip"] for item in refused] == [0, 1, 2]
    assert all("first_psnr" in item for item in refused)
    np.testing.assert_array_equal(
        result.outcome.repaired.means, result.outcome.baseline.means
    )
