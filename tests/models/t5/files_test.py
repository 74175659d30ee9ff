"""Encoders come out of folders; folders that do not fit are refused."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.traverse_util import flatten_dict

from aw_jax.core.errors import UserError
from aw_jax.models.ltx.safetensors_files import save_tensors
from aw_jax.models.t5 import files, weights

COPY = "encoder.embed_tokens.weight"
LAST = "encoder.final_layer_norm.weight"


def write_shards(tiny, folder, *, count):
    tiny.write(folder, {})
    (folder / files.SINGLE).unlink()
    tensors = list(tiny.draw().items())
    index = {}
    for i in range(count):
        name = f"model-{i + 1:05}-of-{count:05}.safetensors"
        save_tensors(folder / name, dict(tensors[i::count]), metadata={})
        index |= dict.fromkeys(dict(tensors[i::count]), name)
    (folder / files.INDEX).write_text(json.dumps({"weight_map": index}))
    return folder


def assert_holds(model, tensors):
    """That every parameter of `model` is the tensor of its name, turned."""
    state = flatten_dict(nnx.to_pure_dict(nnx.state(model)))
    slots = weights.tensor_names(model.config)
    assert {slot.path for slot in slots.values()} == set(state)
    for name, slot in slots.items():
        array = state[slot.path]
        array = array if slot.layer is None else array[slot.layer]
        array = array.T if slot.path[-1] == "kernel" else array
        stored = tensors[name].astype(array.dtype)
        np.testing.assert_array_equal(array, stored, err_msg=name)


def test_one_file_fills_every_parameter(tiny, tmp_path):
    tensors = tiny.draw()
    folder = tiny.write(tmp_path, tensors)
    model = files.load_encoder(folder, t5_mask=True)
    assert model.config == tiny.config
    assert_holds(model, tensors)


def test_shards_fill_the_same(tiny, tmp_path):
    folder = write_shards(tiny, tmp_path, count=3)
    assert_holds(files.load_encoder(folder, t5_mask=False), tiny.draw())


def test_a_pipeline_is_entered(tiny, pipeline):
    assert_holds(files.load_encoder(pipeline, t5_mask=True), tiny.draw())


def test_parameters_take_the_type_asked_for(tiny, tmp_path):
    folder = tiny.write(tmp_path, tiny.draw())
    model = files.load_encoder(folder, t5_mask=True, param_dtype="bfloat16")
    assert {x.dtype for x in jax.tree.leaves(nnx.state(model))} == {
        jnp.dtype("bfloat16")
    }
    assert_holds(model, tiny.draw())


def test_known_tensors_of_no_use_load_silently(tiny, tmp_path):
    more = dict.fromkeys(
        (
            COPY,
            "decoder.embed_tokens.weight",
            "decoder.block.0.layer.1.EncDecAttention.q.weight",
            "decoder.final_layer_norm.weight",
            "lm_head.weight",
        ),
        np.zeros(2, np.float32),
    )
    folder = tiny.write(tmp_path, tiny.draw() | more)
    assert_holds(files.load_encoder(folder, t5_mask=True), tiny.draw())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(LAST), rf"1 \({LAST}\) missing, 0 not used"),
        (lambda t: t.update(odd=t[LAST]), r"0 missing, 1 \(odd\) not used"),
        (
            lambda t: t.update({LAST: np.zeros(3)}),
            rf"{LAST} has shape \(3,\), the model expects \(16,\)",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(tiny, tmp_path, change, message):
    tensors = tiny.draw()
    change(tensors)
    folder = tiny.write(tmp_path, tensors)
    with pytest.raises(UserError, match=message):
        files.load_encoder(folder, t5_mask=True)


def test_what_is_absent_is_named(tiny, tmp_path):
    def load():
        return files.load_encoder(tmp_path / "t5", t5_mask=True)

    with pytest.raises(UserError, match="t5: no such folder; expected a diffusers"):
        load()
    (tmp_path / "t5").mkdir()
    (tmp_path / "t5/pytorch_model.bin").touch()
    with pytest.raises(UserError, match=r"expected config.json, got \['pytorch_mod"):
        load()
    tiny.write(tmp_path / "t5", {})
    (tmp_path / "t5/model.safetensors").unlink()
    with pytest.raises(UserError, match=r"or model.safetensors.index.json, got \['co"):
        load()
    folder = write_shards(tiny, tmp_path / "t5", count=3)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(UserError, match="names 3 files, of which model-00002-of-00003"):
        load()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.json", "{", "config.json: no JSON"),
        ("config.json", "[]", "config.json: expected a JSON object, got list"),
        ("model.safetensors", "none at all", "not a readable safetensors file"),
        (files.INDEX, "{}", "expected an entry weight_map"),
        (files.INDEX, '{"weight_map": {"a": 1}}', "expected an entry weight_map"),
    ],
)
def test_damaged_files_are_named(tiny, tmp_path, name, text, message):
    folder = tiny.write(tmp_path, tiny.draw())
    (folder / name).write_text(text)
    with pytest.raises(UserError, match=message):
        files.load_encoder(folder, t5_mask=True)


def test_a_cut_file_is_refused(tiny, tmp_path):
    path = tiny.write(tmp_path, tiny.draw()) / files.SINGLE
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match="not a readable safetensors file"):
        files.load_encoder(tmp_path, t5_mask=True)


def test_the_checksum_is_of_every_byte(tiny, tmp_path):
    path = tiny.write(tmp_path, tiny.draw()) / files.SINGLE
    before = files.checksum(tmp_path)
    assert files.checksum(tmp_path) == before
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert files.checksum(tmp_path) != before
