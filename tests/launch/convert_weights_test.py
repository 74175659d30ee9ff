"""`convert` on checkpoints and adapters of LTX-Video."""

import dataclasses
import json

import ml_dtypes
import numpy as np
import pytest

from aw_jax.models.ltx import config as ltx
from aw_jax.models.ltx import lora_pairs, weights
from aw_jax.models.ltx.lora_pairs import Pair
from aw_jax.models.ltx.safetensors_files import (
    file_config,
    iterate_tensors,
    save_tensors,
    tensor_shapes,
)
from aw_jax.models.ltx.transformer_files import load_transformer

CONFIG = dataclasses.replace(ltx.PROBE, layers=1, in_channels=4, out_channels=6)
QUERY = "transformer_blocks.0.attn1.to_q"
PREFIX = "model.diffusion_model."


def read(path):
    return dict(iterate_tensors(path, tensor_shapes(path)))


@pytest.fixture
def single(tmp_path):
    """A checkpoint in bfloat16 beside tensors of its autoencoder."""
    rng = np.random.default_rng(0)
    tensors = {"vae.encoder.weight": np.ones((2, 3), np.float32)}
    for name, slot in weights.tensor_names(CONFIG, "lightricks").items():
        drawn = rng.standard_normal(weights.tensor_shape(CONFIG, slot))
        tensors[PREFIX + name] = drawn.astype(ml_dtypes.bfloat16)
    entry = {"transformer": ltx.to_upstream(CONFIG), "vae": {"dims": 3}}
    path = tmp_path / "single.safetensors"
    save_tensors(path, tensors, metadata={"config": json.dumps(entry)})
    return path


@pytest.fixture
def adapter(tmp_path):
    """ComfyUI's form of two pairs, one with alpha."""
    rng = np.random.default_rng(1)
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)
    stems = (f"diffusion_model.{QUERY}", "diffusion_model.patchify_proj")
    tensors = {
        f"{stems[0]}.lora_A.weight": draw(2, 32),
        f"{stems[0]}.lora_B.weight": draw(32, 2),
        f"{stems[0]}.alpha": np.full((), 8, np.float32),
        f"{stems[1]}.lora_A.weight": draw(3, 4),
        f"{stems[1]}.lora_B.weight": draw(32, 3),
    }
    save_tensors(tmp_path / "lora.safetensors", tensors, metadata={})
    return tmp_path / "lora.safetensors"


def test_single_file_to_folder_and_back_keeps_every_bit(single, tmp_path, launch):
    folder, back = tmp_path / "folder", tmp_path / "back.safetensors"
    told = launch("convert", f"--source={single}", f"--target={folder}")
    assert told.status == 0, told.lines
    assert "licence" in told.lines[-1]
    names = weights.tensor_names(CONFIG, "diffusers")
    found = read(folder / "diffusion_pytorch_model.safetensors")
    assert found.keys() == names.keys()
    # The folder is one that loads.
    assert load_transformer(folder, rope_time="causal").config == CONFIG
    again = launch(
        "convert",
        f"--source={folder}",
        f"--target={back}",
        "--config.rope_time=causal",
    )
    assert again.status == 0, again.lines
    whole, before = read(back), read(single)
    del before["vae.encoder.weight"]
    assert whole.keys() == before.keys()
    for name, tensor in before.items():
        assert whole[name].dtype == tensor.dtype
        np.testing.assert_array_equal(whole[name], tensor)
    assert file_config(back)["transformer"] == file_config(single)["transformer"]


def test_adapters_change_their_names_and_fold_alpha(adapter, tmp_path, launch):
    there, back = tmp_path / "d.safetensors", tmp_path / "c.safetensors"
    assert launch("convert", f"--source={adapter}", f"--target={there}").status == 0
    old, new = read(adapter), read(there)
    stem = f"transformer.{QUERY}.lora"
    wanted = old[f"diffusion_model.{QUERY}.lora_B.weight"] * np.float32(8 / 2)
    np.testing.assert_array_equal(new[f"{stem}_B.weight"], wanted)
    assert "transformer.proj_in.lora_A.weight" in new
    assert len(new) == 4
    arguments = (f"--source={there}", f"--target={back}", "--config.layout=comfyui")
    assert launch("convert", *arguments).status == 0
    assert read(back).keys() == {n for n in old if not n.endswith("alpha")}


@pytest.mark.parametrize("kind", ["single", "folder"])
def test_an_adapter_is_merged_into_its_base(single, adapter, tmp_path, launch, kind):
    base, target = single, tmp_path / "merged.safetensors"
    stems = {QUERY: PREFIX + QUERY, "proj_in": f"{PREFIX}patchify_proj"}
    names = {layer: f"{stem}.weight" for layer, stem in stems.items()}
    if kind == "folder":
        base, target = tmp_path / "folder", tmp_path / "merged"
        launch("convert", f"--source={single}", f"--target={base}")
        names = {layer: f"{layer}.weight" for layer in names}
    arguments = (f"--source={adapter}", f"--base={base}", f"--target={target}")
    told = launch("convert", *arguments)
    assert told.status == 0, told.lines
    files = (base, target)
    if kind == "folder":
        files = [f / "diffusion_pytorch_model.safetensors" for f in files]
    before, after = map(read, files)
    assert before.keys() == after.keys()
    pairs = lora_pairs.read_pairs(adapter)
    wanted = before | {
        names[layer]: (before[names[layer]].astype(np.float32) + p.b @ p.a).astype(
            ml_dtypes.bfloat16
        )
        for layer, p in pairs.items()
    }
    for name, tensor in wanted.items():
        np.testing.assert_array_equal(after[name], tensor, err_msg=name)
    changed = [n for n in before if (before[n] != after[n]).any()]
    assert sorted(changed) == sorted(names.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source=single.safetensors", "--target=x.safetensors"], "a folder's name"),
        (["--source=lora.safetensors", "--target=x"], "ends in .safetensors"),
        (["--source=folder", "--target=x.safetensors"], "does not tell --config.rope"),
        (["--source=folder", "--target=x", "--config.rope_time=plain"], "ends in .saf"),
        (["--source=empty", "--target=x.safetensors", "--config.rope_time=plain"],
         "empty: expected config.json"),
        (["--source=folder", "--target=x", "--config.rope_time=both"], "rope_time"),
        (["--source=single.safetensors", "--target=folder"], "file or of a new folder"),
        (["--source=lora.safetensors", "--target=single.safetensors",
          "--base=single.safetensors"], "another file"),
        (["--source=lora.safetensors", "--target=x.safetensors", "--base=none"],
         "no such file"),
        (["--source=single.safetensors", "--target=x", "--base=folder"],
         "--base is for adapters"),
        (["--source=other.safetensors", "--target=x.safetensors",
          "--base=single.safetensors"], "no layer 1 (transformer_blocks.7.attn1.to_q)"),
        (["--source=wide.safetensors", "--target=x.safetensors",
          "--base=single.safetensors"], "another base?"),
        (["--source=cut.safetensors", "--target=x.safetensors"], "not a readable"),
        (["--source=odd.safetensors", "--target=x"], "1 (odd) not used"),
        (["--source=lora.safetensors", "--target=x.safetensors",
          "--config.layout=kohya"], "layout"),
    ],
)  # fmt: skip
def test_errors_are_one_line_and_touch_nothing(
    single, adapter, tmp_path, launch, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/config.json").write_text(json.dumps(ltx.to_upstream(CONFIG)))
    save_tensors(
        tmp_path / "folder/diffusion_pytorch_model.safetensors",
        {"a": np.zeros(1)},
        metadata={},
    )
    pair = Pair(np.zeros((2, 32), np.float32), np.zeros((32, 2), np.float32))
    foreign = {"transformer_blocks.7.attn1.to_q": pair}
    lora_pairs.save_pairs(tmp_path / "other.safetensors", foreign)
    wide = {QUERY: Pair(np.zeros((2, 33), np.float32), pair.b)}
    lora_pairs.save_pairs(tmp_path / "wide.safetensors", wide)
    (tmp_path / "cut.safetensors").write_bytes(adapter.read_bytes()[:-3])
    tensors = read(single) | {f"{PREFIX}odd": np.zeros(1)}
    entry = json.dumps({"transformer": ltx.to_upstream(CONFIG)})
    save_tensors(tmp_path / "odd.safetensors", tensors, metadata={"config": entry})
    files = lambda: {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    before = files()
    told = launch("convert", *arguments)
    assert told.status == 2, told.lines
    assert len(told.errors) == 1
    assert message in told.errors[0]
    assert files() == before
