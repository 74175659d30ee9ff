"""Parts of a checkpoint are found in every form, and wrong ones are named."""

import json

import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import checkpoint_files, conversion, weights
from aw_jax.models.ltx import config as ltx
from aw_jax.models.ltx.lora_pairs import Pair, save_pairs
from aw_jax.models.ltx.safetensors_files import save_tensors
from aw_jax.models.ltx.transformer_files import PREFIX


def write(path, *, vae=True, without=None, config=ltx.PROBE, **metadata):
    slots = weights.tensor_names(config, "lightricks").items()
    tensors = {
        PREFIX + name: np.zeros(weights.tensor_shape(config, slot), np.float32)
        for name, slot in slots
        if name != without
    }
    if vae:
        tensors["vae.encoder.weight"] = np.zeros((2, 3), np.float32)
    entry = {"transformer": ltx.to_upstream(config)} | metadata
    save_tensors(path, tensors, metadata={"config": json.dumps(entry)})
    return path


def described(path, rope_time="plain"):
    found = checkpoint_files.find(path).transformer
    config = checkpoint_files.described(found, rope_time=rope_time)
    checkpoint_files.check_tensors(found, config)
    return config


def test_parts_are_found_in_every_form(tmp_path):
    single = write(tmp_path / "ltxv.safetensors")
    found = checkpoint_files.find(single)
    assert (found.transformer, found.vae, found.text) == (single, single, None)
    alone = write(tmp_path / "ours/transformer.safetensors", vae=False)
    assert checkpoint_files.find(alone).vae is None
    assert checkpoint_files.find(tmp_path / "ours").vae is None
    (tmp_path / "ours/vae.safetensors").write_bytes(b"")
    ours = checkpoint_files.find(tmp_path / "ours")
    assert (ours.transformer, ours.vae) == (alone, tmp_path / "ours/vae.safetensors")
    both = write(tmp_path / "both/transformer.safetensors")
    found = checkpoint_files.find(tmp_path / "both")
    assert found.transformer == found.vae == both
    pipe = tmp_path / "pipe"
    conversion.single_to_folder(single, pipe / "transformer")
    for part in ("vae", "text_encoder"):
        (pipe / part).mkdir()
    found = checkpoint_files.find(pipe)
    assert found.transformer == pipe / "transformer"
    assert (found.vae, found.text) == (pipe / "vae", pipe)
    inner = checkpoint_files.find(pipe / "transformer")
    assert (inner.transformer, inner.vae) == (pipe / "transformer", None)
    assert described(inner.transformer, rope_time="causal") == ltx.PROBE


def test_a_header_tells_config_and_schedule(tmp_path):
    told = {
        "scheduler": {"sampler": "LinearQuadratic"},
        "allowed_inference_steps": [1.0, 0.5],
    }
    path = write(tmp_path / "a.safetensors", **told)
    assert described(path) == ltx.PROBE
    assert checkpoint_files.scheduler(path) == tuple(told.values())
    assert checkpoint_files.scheduler(write(path)) == ({}, None)
    assert checkpoint_files.scheduler(tmp_path) == ({}, None)


def adapter(path):
    pair = Pair(np.zeros((2, 32), np.float32), np.zeros((32, 2), np.float32))
    save_pairs(path, {"transformer_blocks.0.attn1.to_q": pair})
    return path


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: path, "no such file or folder"),
        (lambda path: path.mkdir() or path, r"expected transformer.safetensors.*\[\]"),
        (adapter, r"expected a checkpoint, got an adapter \(LoRA\)"),
        (lambda path: write(path, without="proj_out.bias"), r"1 \(proj_out.bias\)"),
        (lambda path: path.write_bytes(b"<html>") and path, "not a readable"),
    ],
)
def test_other_things_are_refused(make, told, tmp_path):
    path = make(tmp_path / "x.safetensors")
    with pytest.raises(UserError, match=told):
        described(path)


def test_a_folder_needs_rope_time(tmp_path):
    with pytest.raises(UserError, match="does not tell rope_time"):
        checkpoint_files.described(tmp_path, rope_time=None)
