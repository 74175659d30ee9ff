"""Conversions hold one tensor at a time; what they write is held by the launcher's."""

import dataclasses
import json
import tracemalloc

import numpy as np
import pytest

from aw_jax.models.ltx import config as ltx
from aw_jax.models.ltx import conversion, weights
from aw_jax.models.ltx.lora_pairs import Pair, save_pairs
from aw_jax.models.ltx.safetensors_files import save_tensors
from aw_jax.models.ltx.transformer_files import PREFIX

CONFIG = dataclasses.replace(ltx.PROBE, layers=6, head_dim=64)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """7 MB, its largest tensor 0.4 MB."""
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    rng = np.random.default_rng(0)
    tensors = {
        PREFIX + name: rng.random(weights.tensor_shape(CONFIG, slot), np.float32)
        for name, slot in weights.tensor_names(CONFIG, "lightricks").items()
    }
    entry = json.dumps({"transformer": ltx.to_upstream(CONFIG)})
    save_tensors(path, tensors, metadata={"config": entry})
    return path


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    path = tmp_path_factory.mktemp("adapter") / "adapter.safetensors"
    rng = np.random.default_rng(1)
    pairs = {
        f"transformer_blocks.{i}.attn1.to_q": Pair(
            rng.random((4, CONFIG.width), np.float32),
            rng.random((CONFIG.width, 4), np.float32),
        )
        for i in range(CONFIG.layers)
    }
    save_pairs(path, pairs, layout="diffusers", dtype="float32")
    return path


def peak_of(work):
    """Bytes that Python and numpy hold at most at once."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_files_are_converted_and_merged_tensor_by_tensor(base, adapter, tmp_path):
    folder, back = tmp_path / "folder", tmp_path / "back.safetensors"
    works = [
        lambda: conversion.single_to_folder(base, folder),
        lambda: conversion.folder_to_single(folder, back, rope_time="causal"),
        lambda: conversion.merge_adapter(base, adapter, tmp_path / "a.safetensors"),
        lambda: conversion.merge_adapter(folder, adapter, tmp_path / "merged"),
    ]
    weights.tensor_names(CONFIG, "diffusers")  # what tracing the model takes, it keeps
    peaks = [peak_of(work) for work in works]
    assert max(peaks) < base.stat().st_size / 3, peaks
    assert back.read_bytes() == base.read_bytes()
