"""Transformer and adapters survive the way through a file; wrong files are refused."""

import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.traverse_util import flatten_dict

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import config as ltx
from aw_jax.models.ltx import weights
from aw_jax.models.ltx.safetensors_files import save_tensors
from aw_jax.models.ltx.transformer_files import load_transformer, save_transformer
from aw_jax.nn import lora


@pytest.fixture(scope="module")
def model():
    config = ltx.PROBE
    rng = np.random.default_rng(0)
    names = weights.tensor_names(config, "lightricks").items()
    tensors = (
        (name, rng.standard_normal(weights.tensor_shape(config, slot)))
        for name, slot in names
    )
    return weights.from_upstream(config, tensors, "lightricks")


def arrays_of(model):
    return flatten_dict(nnx.to_pure_dict(nnx.state(model)), sep=".")


def assert_same(one, two):
    one, two = arrays_of(one), arrays_of(two)
    assert one.keys() == two.keys()
    for path, array in one.items():
        np.testing.assert_array_equal(array, two[path], err_msg=path)


def adapted(model):
    model = lora.attach(model, name="one", rank=4, alpha=8, rngs=nnx.Rngs(0))
    graphdef, adapter, frozen = lora.split(model, "one")
    moved = jax.tree.map(lambda x: x + 0.25, adapter)
    return lora.join(graphdef, moved, frozen)


def test_a_single_file_returns_every_bit_and_the_config(model, tmp_path):
    save_transformer(tmp_path / "m.safetensors", model)
    loaded = load_transformer(tmp_path / "m.safetensors")
    assert loaded.config == model.config
    assert_same(loaded, model)


def test_bfloat16_files_load_in_either_precision(model, tmp_path):
    save_transformer(tmp_path / "m.safetensors", model, dtype="bfloat16")
    wide = load_transformer(tmp_path / "m.safetensors")
    narrow = load_transformer(tmp_path / "m.safetensors", param_dtype="bfloat16")
    for path, array in arrays_of(model).items():
        stored = array.astype(jnp.bfloat16)
        np.testing.assert_array_equal(arrays_of(narrow)[path], stored)
        np.testing.assert_array_equal(arrays_of(wide)[path], stored.astype(jnp.float32))


def test_adapters_are_left_out_of_the_base_file(model, tmp_path):
    save_transformer(tmp_path / "m.safetensors", adapted(model))
    assert_same(load_transformer(tmp_path / "m.safetensors"), model)


def test_a_diffusers_folder_is_read_shard_by_shard(model, tmp_path):
    tensors = list(weights.to_upstream(model, "diffusers").items())
    for i, part in enumerate((tensors[:20], tensors[20:])):
        file = tmp_path / f"diffusion_pytorch_model-0000{i}-of-2.safetensors"
        save_tensors(file, dict(part), metadata={})
    described = ltx.to_upstream(model.config) | {"qk_norm": "rms_norm_across_heads"}
    (tmp_path / "config.json").write_text(json.dumps(described))
    assert_same(load_transformer(tmp_path, rope_time="causal"), model)
    with pytest.raises(UserError, match="does not tell rope_time"):
        load_transformer(tmp_path)


def break_file(model, path, change):
    tensors = weights.to_upstream(model, "lightricks")
    change(tensors)
    config = json.dumps({"transformer": ltx.to_upstream(model.config)})
    prefixed = {f"model.diffusion_model.{k}": v for k, v in tensors.items()}
    save_tensors(path, prefixed, metadata={"config": config})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("proj_out.bias"), r"1 \(proj_out.bias\) missing"),
        (lambda t: t.update(odd=t["proj_out.bias"]), r"1 \(odd\) not used"),
        (
            lambda t: t.update({"proj_out.bias": np.zeros(3)}),
            r"proj_out.bias has shape \(3,\), the model expects \(128,\)",
        ),
    ],
)
def test_files_that_do_not_fit_name_the_tensor(model, tmp_path, change, message):
    break_file(model, tmp_path / "m.safetensors", change)
    with pytest.raises(UserError, match=message):
        load_transformer(tmp_path / "m.safetensors")


def test_files_that_are_none_are_refused(model, tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load_transformer(tmp_path / "absent.safetensors")
    (tmp_path / "x.safetensors").write_bytes(b"not one")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        load_transformer(tmp_path / "x.safetensors")
    save_tensors(tmp_path / "y.safetensors", {"a": np.zeros(2)}, metadata={})
    with pytest.raises(UserError, match="no entry `transformer`"):
        load_transformer(tmp_path / "y.safetensors")


def test_truncated_files_and_pickles_are_refused_by_name(model, tmp_path):
    save_transformer(tmp_path / "cut.safetensors", model)
    whole = (tmp_path / "cut.safetensors").read_bytes()
    pickled = pickle.dumps({"proj_in.weight": np.zeros(4)})
    for content in (whole[:-1], whole[:1000], whole[:4], pickled):
        (tmp_path / "cut.safetensors").write_bytes(content)
        with pytest.raises(UserError, match=r"cut\.safetensors: not a readable"):
            load_transformer(tmp_path / "cut.safetensors")
