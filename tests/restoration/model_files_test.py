"""Restoration on a public checkpoint: its forms, and adapters that say nothing."""

import json

import ml_dtypes
import numpy as np
import pytest
from flax import nnx

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import conversion, vae_files
from aw_jax.models.ltx.lora_files import adapter_pairs
from aw_jax.models.ltx.safetensors_files import (
    file_config,
    iterate_tensors,
    save_tensors,
    tensor_shapes,
)
from aw_jax.models.ltx.vae_lightricks import to_lightricks
from aw_jax.models.t5 import embedding_cache
from aw_jax.models.t5.config import TextConfig
from aw_jax.restoration import adapter_files, foreign, model_files
from aw_jax.restoration.model_files import PREDICTOR, RESTORER, SHIPPED, TRANSFORMER

CHANNELS = 32


def arrays_of(model):
    flat = nnx.to_flat_state(nnx.state(model))
    return {path: leaf.get_value() for path, leaf in flat}


def assert_same(one, two):
    one, two = arrays_of(one), arrays_of(two)
    assert one.keys() == two.keys()
    for path, array in one.items():
        np.testing.assert_array_equal(array, two[path], err_msg=str(path))


def write_single(path):
    """The shipped backbone and autoencoder in one file, as the public ones are."""
    base = SHIPPED / TRANSFORMER
    vae = vae_files.load_vae(SHIPPED / model_files.VAE)
    tensors = dict(iterate_tensors(base, tensor_shapes(base)))
    own = vae_files.upstream_tensors(vae, "lightricks").items()
    tensors |= {vae_files.PREFIX + name: tensor for name, tensor in own}
    entry = file_config(base) | {"vae": to_lightricks(vae.config)}
    save_tensors(path, tensors, metadata={"config": json.dumps(entry)})


def write_prompt(folder, channels=CHANNELS):
    """Three tokens and two of padding, as T5's cache keeps them."""
    config = TextConfig(t5_mask=False)
    key = embedding_cache.Key(prompt="p", tokenizer="t", encoder="e", config=config)
    rows = np.arange(5 * channels).reshape(5, channels).astype(ml_dtypes.bfloat16)
    entry = embedding_cache.Entry(embeddings=rows, length=3)
    embedding_cache.write(folder, key, entry)
    key.path(folder).rename(folder / foreign.EMBEDDED)
    return rows[:3].astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """A public checkpoint with the shipped adapters in another program's form."""
    write_single(tmp_path / TRANSFORMER)
    for name in (PREDICTOR, RESTORER):
        besides = (adapter_files.PROMPT,)
        conversion.rename_adapter(
            SHIPPED / name, tmp_path / name, layout="lightricks", besides=besides
        )
    (tmp_path / foreign.ASSUMED).write_text('{"method": {"steps": 5}}')
    return tmp_path


def test_one_file_of_both_and_foreign_adapters_load(folder):
    rows = write_prompt(folder)
    models, shipped = model_files.load(str(folder)), model_files.load("ltx_tiny")
    assert models.method.steps == 5
    assert models.method.source == "noise"
    np.testing.assert_array_equal(models.prompt, rows)
    assert_same(models.vae, shipped.vae)
    ours, theirs = (adapter_pairs(m.restorer, "restorer") for m in (models, shipped))
    assert ours.keys() == theirs.keys()
    for layer, pair in ours.items():
        wanted = theirs[layer].b @ theirs[layer].a
        np.testing.assert_allclose(pair.b @ pair.a, wanted, atol=1e-6)


def test_a_folder_of_diffusers_has_the_rope_time_of_the_adapters(folder):
    write_prompt(folder)
    conversion.single_to_folder(folder / TRANSFORMER, folder / "transformer")
    vae = vae_files.load_vae(folder / TRANSFORMER)
    vae_files.save_vae(folder / model_files.VAE, vae)
    (folder / TRANSFORMER).unlink()
    with pytest.raises(UserError, match="does not tell rope_time"):
        model_files.load(str(folder))
    (folder / foreign.ASSUMED).write_text('{"rope_time": "plain"}')
    models = model_files.load(str(folder))
    assert models.restorer.config.rope_time == "plain"
    assert models.method.steps == 8


def test_what_foreign_adapters_need_is_named(folder):
    with pytest.raises(UserError, match=r"expected the embedding .*prompt.safetensors"):
        model_files.load(str(folder))
    write_prompt(folder, channels=CHANNELS + 1)
    with pytest.raises(UserError, match="has 33 channels, the transformer takes 32"):
        model_files.load(str(folder))
    write_prompt(folder)
    (folder / foreign.ASSUMED).write_text('{"methods": {}}')
    with pytest.raises(UserError, match="Assumed has no field methods"):
        model_files.load(str(folder))
    (folder / foreign.ASSUMED).unlink()
    with pytest.raises(UserError, match=r"adapters.json and prompt.safetensors"):
        model_files.load(str(folder))


def test_the_prompts_convention_is_kept(folder):
    write_prompt(folder)
    prompt = foreign.embedded_prompt(folder)
    assert prompt.t5_mask is False
    conditions = adapter_files.read_conditions(SHIPPED / RESTORER)
    assert conditions.t5_mask is None


def test_the_sum_of_a_folder_sees_every_file_and_name(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    sums = set()
    for name, text in (("a", "one"), ("a", "two"), ("b", "one")):
        (folder / name).write_text(text)
        sums.add(adapter_files.checksum(folder))
    (folder / "b").rename(folder / "c")
    assert len(sums | {adapter_files.checksum(folder)}) == 4
