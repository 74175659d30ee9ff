"""Every form of an adapter file means the same pairs; damaged ones are refused."""

import json
import pickle

import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import lora_pairs
from aw_jax.models.ltx.lora_pairs import Pair
from aw_jax.models.ltx.safetensors_files import (
    file_metadata,
    iterate_tensors,
    save_tensors,
    tensor_shapes,
)

QUERY, FIRST, TIME = (
    "transformer_blocks.0.attn1.to_q",
    "proj_in",
    "time_embed.emb.timestep_embedder.linear_1",
)
SHAPES = {QUERY: (4, 6, 5), FIRST: (2, 3, 6), TIME: (2, 7, 6)}
"""Rank, inputs, outputs of each layer."""


def drawn():
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)
    return {k: (draw(r, i), draw(o, r)) for k, (r, i, o) in SHAPES.items()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.safetensors"


def write(path, pairs, *, prefix="transformer.", parts=("A", "B"), infix="", more=()):
    """A file in the words of someone else."""
    tensors = dict(more)
    for layer, pair in pairs.items():
        for part, array in zip(parts, pair, strict=True):
            tensors[f"{prefix}{layer}.lora_{part}{infix}.weight"] = array
    save_tensors(path, tensors, metadata={})
    return path


def assert_pairs(path, pairs, scales=None):
    found = lora_pairs.read_pairs(path)
    assert sorted(found) == sorted(pairs)
    for layer, (a, b) in pairs.items():
        scale = np.float32((scales or {}).get(layer, 1))
        np.testing.assert_array_equal(found[layer].a, a)
        np.testing.assert_allclose(found[layer].b, scale * b, rtol=1e-6)


@pytest.mark.parametrize("prefix", ["transformer.", "base_model.model.", ""])
@pytest.mark.parametrize("infix", ["", ".default"])
@pytest.mark.parametrize("parts", [("A", "B"), ("down", "up")])
def test_files_without_alpha_take_it_for_r(path, prefix, infix, parts):
    pairs = drawn()
    assert_pairs(write(path, pairs, prefix=prefix, infix=infix, parts=parts), pairs)


def test_comfyui_calls_layers_outside_the_blocks_as_lightricks_does(path):
    pairs = drawn()
    names = {
        QUERY: QUERY,
        FIRST: "patchify_proj",
        TIME: "adaln_single.emb.timestep_embedder.linear_1",
    }
    renamed = {names[layer]: pair for layer, pair in pairs.items()}
    assert_pairs(write(path, renamed, prefix="diffusion_model."), pairs)
    swapped = write(path, pairs, prefix="diffusion_model.")  # as diffusers reads it
    assert_pairs(swapped, pairs)


def test_alpha_tensors_scale_their_own_layer(path):
    more = {
        f"transformer.{QUERY}.alpha": np.full((), 8, np.float32),
        f"transformer.{FIRST}.alpha": np.full(1, 1, np.float32),
    }
    file = write(path, drawn(), more=more)
    assert_pairs(file, drawn(), {QUERY: 8 / 4, FIRST: 1 / 2})


def described(path, pairs, config, **tensors):
    write(path, pairs, **tensors)
    names = tensor_shapes(path)
    notes = {"lora_adapter_metadata": json.dumps(config)}
    save_tensors(path, dict(iterate_tensors(path, names)), metadata=notes)
    return path


CONFIG = {
    "transformer.r": 2,
    "transformer.lora_alpha": 6,
    "transformer.rank_pattern": {"attn1.to_q": 4},
    "transformer.alpha_pattern": {"^proj_in": 16},
}


@pytest.mark.parametrize(
    ("change", "scales"),
    [
        ({}, {QUERY: 6 / 4, FIRST: 16 / 2, TIME: 6 / 2}),
        (
            {"transformer.use_rslora": True},
            {QUERY: 6 / 2, FIRST: 16 / 2**0.5, TIME: 6 / 2**0.5},
        ),
    ],
)
def test_the_metadata_of_diffusers_scales_by_pattern(path, change, scales):
    assert_pairs(described(path, drawn(), CONFIG | change), drawn(), scales)


def test_the_config_beside_a_file_of_peft_scales_by_pattern(tmp_path):
    path = tmp_path / "adapter_model.safetensors"
    plain = {k.removeprefix("transformer."): v for k, v in CONFIG.items()}
    config = tmp_path / "adapter_config.json"
    config.write_text(json.dumps(plain | {"peft_type": "LORA"}))
    file = write(path, drawn(), prefix="base_model.model.")
    assert_pairs(file, drawn(), {QUERY: 6 / 4, FIRST: 16 / 2, TIME: 6 / 2})
    other = write(tmp_path / "other.safetensors", drawn())
    assert_pairs(other, drawn())
    config.write_text("{")
    with pytest.raises(UserError, match=r"adapter_config\.json: "):
        lora_pairs.read_pairs(path)


def test_an_alpha_tensor_decides_over_the_metadata(path):
    more = {f"transformer.{QUERY}.alpha": np.full((), 2, np.float32)}
    file = described(path, drawn(), CONFIG, more=more)
    assert_pairs(file, drawn(), {QUERY: 2 / 4, FIRST: 16 / 2, TIME: 6 / 2})


@pytest.mark.parametrize(
    ("layout", "first"),
    [
        ("diffusers", "transformer.proj_in"),
        ("lightricks", "diffusion_model.patchify_proj"),
    ],
)
def test_what_we_write_has_its_names_and_reads_back(path, layout, first):
    pairs = {layer: Pair(*pair) for layer, pair in drawn().items()}
    lora_pairs.save_pairs(path, pairs, layout=layout)
    assert f"{first}.lora_A.weight" in tensor_shapes(path)
    assert_pairs(path, drawn())
    notes = file_metadata(path)
    config = json.loads(notes["lora_adapter_metadata"])
    assert config["transformer.r"] == config["transformer.lora_alpha"] == 4
    assert list(config["transformer.rank_pattern"].values()) == [2, 2]
    assert "licence" in notes
    assert lora_pairs.is_adapter(path)


def changed(path, change):
    tensors = {}
    for layer, (a, b) in drawn().items():
        tensors[f"transformer.{layer}.lora_A.weight"] = a
        tensors[f"transformer.{layer}.lora_B.weight"] = b
    change(tensors)
    save_tensors(path, tensors, metadata={})


A, B = (f"transformer.{QUERY}.lora_{part}.weight" for part in "AB")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(B), f"{A}\\) without the other"),
        (lambda t: t.pop(A), f"{B}\\) without the other"),
        (lambda t: t.update({"transformer.x.alpha": np.ones(1)}), "x.alpha.*without"),
        (lambda t: t.update(odd=np.ones(1)), r"\(odd\) belong to no pair"),
        (lambda t: t.update({A[:-8] + "_magnitude": t[A]}), "magnitude.*no pair"),
        (lambda t: t.update({A: t[A][:3]}), rf"{QUERY} expects.*\(3, 6\) and \(5, 4\)"),
        (lambda t: t.update({A: t[A][0]}), f"{QUERY} expects"),
        (lambda t: t.update({A[12:]: t[A]}), "are the same matrix"),
        (
            lambda t: t.update({A[:-13] + "alpha": np.ones(2)}),
            r"to_q.alpha expects one finite number, got shape \(2,\)",
        ),
        (lambda t: (t.clear(), t.update(odd=np.ones(1))), "found none"),
    ],
)
def test_tensors_that_make_no_pairs_are_named(path, change, message):
    changed(path, change)
    with pytest.raises(UserError, match=message):
        lora_pairs.read_pairs(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transformer.use_dora": True}, "use_dora"),
        ({"transformer.rank_pattern": {}}, f"{QUERY} has rank 4, not 2"),
        ({"transformer.lora_alpha": "six"}, "a number as alpha of time_embed"),
    ],
)
def test_metadata_that_contradicts_the_tensors_is_refused(path, change, message):
    described(path, drawn(), CONFIG | change)
    with pytest.raises(UserError, match=message):
        lora_pairs.read_pairs(path)


def test_metadata_that_is_no_object_is_refused(path):
    described(path, drawn(), [1])
    with pytest.raises(UserError, match="lora_adapter_metadata"):
        lora_pairs.read_pairs(path)


def test_pickles_and_truncated_files_are_refused(path):
    write(path, drawn())
    whole = path.read_bytes()
    for wrong in (whole[:-5], whole[:40], b"", pickle.dumps({"a": [1.0] * 99})):
        path.write_bytes(wrong)
        with pytest.raises(UserError, match="not a readable safetensors file"):
            lora_pairs.read_pairs(path)
