"""Training works: on four pairs every stage learns all that it is asked.

The autoencoder is the shipped one; base, predictor and restorer are trained from
nothing on four clips of a true sparse fit, and then used as a user does.
"""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.data import clips, records
from aw_jax.data.procedural.seeds import TRAINING
from aw_jax.dataengine import label_shards
from aw_jax.dataengine.labels import LabelConfig
from aw_jax.dataengine.simulation import SimulationConfig, simulate_scene
from aw_jax.dataengine.sparse_fit import SparseFitConfig
from aw_jax.flow.timesteps import TimestepLaw
from aw_jax.metrics.pearson import moments
from aw_jax.models.ltx import config as ltx_config
from aw_jax.restoration import model_files, pipeline
from aw_jax.restoration.heatmap import CONSTANT
from aw_jax.restoration.method import MethodConfig
from aw_jax.train.config import AdapterConfig, TrainConfig
from aw_jax.train.denoising import DenoisingConfig
from aw_jax.train.loop import LoopConfig
from aw_jax.train.optimizer import OptimizerConfig
from aw_jax.train.stages import train_denoiser

pytestmark = pytest.mark.slow

PAIRS = SimulationConfig(
    width=48,
    height=48,
    paths=2,
    sparse=SparseFitConfig(views=(3, 3), steps=(300, 300), snapshots=(0.5, 1.0)),
)
METHOD = MethodConfig(source="artifact", bypass=True, steps=1, schedule=CONSTANT)
STEPS = {"base": 800, "predictor": 800, "restorer": 200}
WIDTH = 128


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with four labelled pairs and the shipped autoencoder."""
    root = tmp_path_factory.mktemp("overfit")
    made = simulate_scene(TRAINING[-1], config=PAIRS).clips
    assert len(made) == 4
    shard = root / "clips" / "a.arrayrecord"
    records.write_shard(shard, [clips.to_bytes(clip) for clip in made])
    label_shards.label_folder(root / "clips", config=LabelConfig())
    (root / "parts").mkdir()
    shutil.copy(model_files.SHIPPED / model_files.VAE, root / "parts")
    return root


@pytest.fixture(scope="module")
def models(folder):
    for task in STEPS:
        (folder / task).mkdir()
        train_denoiser(recipe(folder, task), folder / task, jax.random.key(0))
    return model_files.load(str(folder / "parts"))


def recipe(folder, task):
    optimizer = OptimizerConfig(
        learning_rate=2e-3, schedule="cosine", warmup=20, b2=0.98
    )
    steps = STEPS[task]
    return TrainConfig(
        task=task,
        data=str(folder / "clips"),
        parts=str(folder / "parts"),
        batch=4,
        transformer=ltx_config.tiny(width=WIDTH, layers=3),
        adapter=AdapterConfig(rank=64, alpha=64.0),
        denoising=DenoisingConfig(method=METHOD, times=TimestepLaw(mass_at_one=1.0)),
        loop=LoopConfig(
            steps=steps, log_every=100, save_every=steps, optimizer=optimizer
        ),
    )


def test_predictor_and_restorer_overfit_four_pairs(folder, models):
    restored, round_trip, pearson = [], [], []
    predict, repair = jax.jit(pipeline.predict_heatmap), jax.jit(pipeline.restore)
    for clip in clips.read_clips(folder / "clips" / "a.arrayrecord"):
        clean, artifact = (
            jnp.asarray(video, jnp.float32) / 255
            for video in (clip.clean, clip.artifact)
        )
        shown = pipeline.Clip(artifact=artifact, first=clean[0], last=clean[-1])
        heat = predict(models, shown, jax.random.key(0))
        fixed = repair(models, shown, heat, jax.random.key(1))
        through = models.vae.decode(models.vae.encode(clean[None]))[0]
        restored.append(psnr(fixed, clean))
        round_trip.append(psnr(through, clean))
        truth = clip.heatmap.astype(np.float32) / 255
        pearson.append(moments(np.asarray(heat)[1:-8], truth[1:-8]).correlation)
    told = f"restored {restored}, round trip {round_trip}, Pearson {pearson}"
    print(told)
    assert min(np.subtract(restored, round_trip)) > -1, told
    assert min(pearson) > 0.9, told


def psnr(found, wanted):
    error = np.mean(np.square(np.clip(found, 0, 1) - wanted))
    return float(-10 * np.log10(error))
