"""Stages of training from records to files, at the smallest size that has all parts."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import nnx

from aw_jax.core.errors import UserError
from aw_jax.core.pytrees import replace
from aw_jax.data import clips, records
from aw_jax.data.procedural.seeds import BENCHMARK
from aw_jax.models.ltx import config as ltx_config
from aw_jax.models.ltx import vae_config
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_files import save_vae
from aw_jax.models.t5 import embedding_cache
from aw_jax.models.t5.config import TextConfig
from aw_jax.nn.initialize import initialized
from aw_jax.restoration import adapter_files, foreign, model_files, pipeline
from aw_jax.restoration.method import MethodConfig
from aw_jax.restoration.ridge import save_ridge
from aw_jax.train.config import AdapterConfig, TrainConfig
from aw_jax.train.denoising import DenoisingConfig
from aw_jax.train.loop import LoopConfig
from aw_jax.train.stages import fit_ridge, train_denoiser

LABEL = {"net": "st-lpips-vgg", "constant": 0.5, "fed": "[-1,1]", "anchored": 8}
VAE = dataclasses.replace(
    vae_config.PROBE,
    encoder_widths=(8, 16, 32),
    encoder_blocks=(0, 0, 0),
    encoder_strides=((2, 2, 2), (2, 1, 1)),
    decoder_widths=(32, 16, 8),
    decoder_blocks=(0, 0, 0),
    decoder_strides=((2, 1, 1), (2, 2, 2)),
)
TRANSFORMER = dataclasses.replace(
    ltx_config.PROBE, layers=1, in_channels=8, out_channels=8, caption_channels=4
)


def clip(seed, *, labelled=True, scene=None):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (2, 25, 16, 24, 3), dtype=np.uint8)
    heat = rng.integers(0, 256, (25, 16, 24), dtype=np.uint8)
    return clips.ClipRecord(
        clean=frames[0],
        artifact=frames[1],
        heatmap=heat if labelled else None,
        notes=({"label": LABEL} if labelled else {}) | {"scene": scene},
    )


def write_parts(root):
    """Three labelled clips and an autoencoder; the folder of the latter."""
    data = [clips.to_bytes(clip(i)) for i in range(3)]
    records.write_shard(root / "clips" / "a.arrayrecord", data)
    vae = initialized(lambda: VideoVAE(VAE, rngs=nnx.Rngs(0)))
    save_vae(root / "parts" / model_files.VAE, vae)
    return root / "parts"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The parts after all stages; not to be written to."""
    parts = write_parts(tmp_path_factory.mktemp("trained"))
    for task in ("base", "predictor", "restorer"):
        assert run(parts, task).exists()
    return parts


@pytest.fixture
def parts(trained, tmp_path):
    """A copy of `trained` with its clips."""
    shutil.copytree(trained.parent / "clips", tmp_path / "clips")
    return shutil.copytree(trained, tmp_path / "parts")


def config(parts, task, **changes):
    choices = {
        "data": str(parts.parent / "clips"),
        "parts": str(parts),
        "batch": 2,
        "loop": LoopConfig(steps=2, log_every=1, save_every=1),
        "transformer": TRANSFORMER,
        "adapter": AdapterConfig(rank=2, alpha=2.0),
        "denoising": DenoisingConfig(
            method=MethodConfig(source="artifact", bypass=True, steps=1), window=2
        ),
    }
    return TrainConfig(task=task, **choices | changes)


def run(parts, task, name="", **changes):
    folder = parts.parent / (name or task)
    folder.mkdir(exist_ok=True)
    return train_denoiser(config(parts, task, **changes), folder, jax.random.key(0))


def test_stages_make_models_that_load_and_restore(parts):
    models = model_files.load(str(parts))
    assert models.method.source == "artifact"
    shown = pipeline.Clip(
        artifact=jnp.full((25, 16, 24, 3), 0.5),
        first=jnp.zeros((16, 24, 3)),
        last=jnp.ones((16, 24, 3)),
    )
    heatmap = jax.jit(pipeline.predict_heatmap)(models, shown, jax.random.key(0))
    assert heatmap.shape == (25, 16, 24)


def test_paths_may_start_at_the_linear_estimate(parts):
    method = MethodConfig(source="ridge", bypass=True, steps=1)
    denoising = DenoisingConfig(method=method, window=2, damage_floor=0.1)
    fit_ridge(
        config(parts, "ridge", denoising=denoising), parts.parent, jax.random.key(0)
    )
    for task in ("base", "predictor", "restorer"):
        run(parts, task, denoising=denoising)
    models = model_files.load(str(parts))
    grey = jnp.full((25, 16, 24, 3), 0.5)
    shown = pipeline.Clip(artifact=grey, first=grey[0], last=grey[0])
    predict = jax.jit(pipeline.predict_heatmap)
    before = predict(models, shown, jax.random.key(0))
    assert not np.allclose(before, predict(_moved(models), shown, jax.random.key(0)))
    save_ridge(parts / model_files.RIDGE, _moved(models).ridge, vae=_sum(parts))
    with pytest.raises(UserError, match="trained with ridge="):
        model_files.load(str(parts))


def _moved(models):
    """The models with another estimate of heatmaps."""
    ridge = replace(models.ridge, heatmap=models.ridge.heatmap + 0.5)
    return replace(models, ridge=ridge)


def _sum(parts):
    return adapter_files.checksum(parts / model_files.VAE)


def test_a_killed_stage_ends_in_the_same_bytes(parts):
    whole = (parts / model_files.RESTORER).read_bytes()
    (parts / model_files.RESTORER).unlink()
    once = LoopConfig(steps=2, log_every=1, save_every=1)
    short = dataclasses.replace(once, steps=1)
    run(parts, "restorer", "parted", loop=short)
    assert run(parts, "restorer", "parted", loop=once).read_bytes() == whole


def test_adapters_of_another_base_are_refused(parts):
    model_files.load(str(parts))
    run(parts, "base", "again", loop=LoopConfig(steps=1, log_every=1, save_every=1))
    with pytest.raises(UserError, match="trained with base="):
        model_files.load(str(parts))


@pytest.mark.slow
def test_a_prompt_that_t5_embedded_is_kept_with_its_convention(parts):
    text = TextConfig(t5_mask=False)
    key = embedding_cache.Key(prompt="p", tokenizer="t", encoder="e", config=text)
    rows = np.arange(20).reshape(5, 4).astype(ml_dtypes.bfloat16)
    embedding_cache.write(parts, key, embedding_cache.Entry(embeddings=rows, length=2))
    key.path(parts).rename(parts / foreign.EMBEDDED)
    path = run(parts, "restorer", "prompted")
    assert adapter_files.read_conditions(path).t5_mask is False
    np.testing.assert_array_equal(model_files.load(str(parts)).prompt, rows[:2])


def test_clips_without_heatmaps_are_refused_before_training(parts):
    bare = [clips.to_bytes(clip(i, labelled=False)) for i in range(3)]
    records.write_shard(parts.parent / "clips" / "a.arrayrecord", bare)
    with pytest.raises(UserError, match="label first"):
        run(parts, "restorer")


def test_worlds_of_the_benchmark_are_refused(parts):
    held_out = [clips.to_bytes(clip(0, scene=BENCHMARK[3]))]
    records.write_shard(parts.parent / "clips" / "b.arrayrecord", held_out)
    with pytest.raises(UserError, match=r"b\.arrayrecord.*11000003 \(benchmark\)"):
        run(parts, "base")
    run(parts, "base", shards=1)
