"""Checkpoints and adapters from one file form to another, without building a model.

Tensors keep their bits and their type; only names change, and what an adapter adds:
W + (alpha / r) B A, summed in float32. Everything else that a single file holds (the
autoencoder, the metadata) stays in it. Tensors are views into the files they come from
and are written one by one: the memory this takes is that of the largest.
"""

import itertools
import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from aw_jax.core.atomic import write_json
from aw_jax.core.errors import UserError
from aw_jax.models.ltx import config as config_io
from aw_jax.models.ltx import lora_files, lora_pairs, weights
from aw_jax.models.ltx import safetensors_files as files
from aw_jax.models.ltx.config import RopeTime, TransformerConfig
from aw_jax.models.ltx.lora_pairs import Pair
from aw_jax.models.ltx.safetensors_files import Tensor
from aw_jax.models.ltx.transformer_files import (
    PREFIX,
    folder_files,
    single_file_entry,
)
from aw_jax.models.ltx.weights import Layout

_DIFFUSERS_FIXED = {
    "_class_name": "LTXVideoTransformer3DModel",
    "patch_size": 1,
    "patch_size_t": 1,
    "activation_fn": "gelu-approximate",
    "qk_norm": "rms_norm_across_heads",
    "norm_elementwise_affine": False,
    "norm_eps": 1e-6,
    "attention_bias": True,
    "attention_out_bias": True,
}
_SHARED_FIELDS = (
    "in_channels",
    "out_channels",
    "num_attention_heads",
    "attention_head_dim",
    "cross_attention_dim",
    "num_layers",
    "caption_channels",
)


def single_to_folder(source: Path, target: Path) -> None:
    """Writes the transformer of a single file as a diffusers folder."""
    config = config_io.from_upstream(single_file_entry(source))
    tensors = dict(_single(source, config))
    _write_folder(target, config, tensors.items(), like=tensors)


def folder_to_single(source: Path, target: Path, *, rope_time: RopeTime) -> None:
    """Writes a diffusers folder as a single file that embeds its config."""
    config, tensors = _folder(source, rope_time)
    names = _renamed(config, "diffusers", "lightricks")
    kept = {PREFIX + names[name]: tensor for name, tensor in tensors}
    entry = json.dumps({"transformer": config_io.to_upstream(config)})
    files.save_tensors(target, kept, metadata={"config": entry})


def merge_adapter(
    base: Path, adapter: Path, target: Path, *, besides: Collection[str] = ()
) -> None:
    """Writes `base`, a single file or a folder, with an adapter merged into it.

    Args:
        base: of the checkpoint; `target` is of the same form.
        adapter: in any form that lora_pairs.py describes.
        target: file or folder to write.
        besides: tensors of the adapter's file that are none of the adapter's.
    """
    pairs = lora_pairs.read_pairs(adapter, besides=besides)
    if base.is_dir():
        config, tensors = _folder(base, "causal")  # merging asks for no position
        lora_files.check_pairs(adapter, pairs, config)
        views = dict(tensors)
        merged = _merged(views.items(), pairs)
        return _write_folder(target, config, merged, like=views)
    config = config_io.from_upstream(single_file_entry(base))
    lora_files.check_pairs(adapter, pairs, config)
    names = _renamed(config, "diffusers", "lightricks")
    views = {PREFIX + names[n]: view for n, view in _single(base, config)}
    rest = [name for name in files.tensor_shapes(base) if not name.startswith(PREFIX)]
    others = dict(files.mapped_tensors(base, rest))
    merged = (
        (PREFIX + names[name], tensor)
        for name, tensor in _merged(_single(base, config), pairs)
    )
    files.stream_tensors(
        target,
        itertools.chain(merged, others.items()),
        like=views | others,
        metadata=files.file_metadata(base),
    )
    return None


def rename_adapter(
    source: Path, target: Path, *, layout: Layout, besides: Collection[str] = ()
) -> None:
    """Writes an adapter of any form with its alpha folded in, in the type it had."""
    pairs = lora_pairs.read_pairs(source, besides=besides)
    name = next(n for n in files.tensor_shapes(source) if n not in besides)
    ((_, tensor),) = files.iterate_tensors(source, [name])
    lora_pairs.save_pairs(target, pairs, layout=layout, dtype=tensor.dtype.name)


def _merged(
    tensors: Iterable[tuple[str, Tensor]], pairs: dict[str, Pair]
) -> Iterator[tuple[str, Tensor]]:
    """Each tensor by diffusers' name, with what the pair of its layer adds."""
    for name, tensor in tensors:
        pair = pairs.get(name.removesuffix(".weight"))
        if pair is not None and name.endswith(".weight"):
            wide = tensor.astype(np.float32) + pair.b @ pair.a
            yield name, wide.astype(tensor.dtype)
        else:
            yield name, tensor


def _single(source: Path, config: TransformerConfig) -> Iterator[tuple[str, Tensor]]:
    """The transformer's tensors of a single file by diffusers' names, checked."""
    names = [n for n in files.tensor_shapes(source) if n.startswith(PREFIX)]
    renamed = _renamed(config, "lightricks", "diffusers")
    found = (
        (name.removeprefix(PREFIX), tensor)
        for name, tensor in files.mapped_tensors(source, names)
    )
    for name, tensor in _checked(source, config, "lightricks", found):
        yield renamed[name], tensor


def _folder(
    source: Path, rope_time: RopeTime
) -> tuple[TransformerConfig, Iterator[tuple[str, Tensor]]]:
    entry, shards = folder_files(source)
    config = config_io.from_upstream(entry, rope_time=rope_time)
    every = (p for s in shards for p in files.mapped_tensors(s, files.tensor_shapes(s)))
    return config, _checked(source, config, "diffusers", every)


def _checked(
    source: Path,
    config: TransformerConfig,
    layout: Layout,
    tensors: Iterable[tuple[str, Tensor]],
) -> Iterator[tuple[str, Tensor]]:
    """The tensors as they come; raises UserError unless they are the model's."""
    slots, found = weights.tensor_names(config, layout), set()
    for name, tensor in tensors:
        found.add(name)
        if name in slots:
            shape = weights.tensor_shape(config, slots[name])
            files.check_shape(source, name, tensor.shape, shape)
            yield name, tensor
    files.check_names(source, found=found, expected=slots)


def _renamed(config: TransformerConfig, old: Layout, new: Layout) -> dict[str, str]:
    """Name in `old` -> name in `new` of every tensor."""
    there = {slot: name for name, slot in weights.tensor_names(config, new).items()}
    return {n: there[slot] for n, slot in weights.tensor_names(config, old).items()}


def _write_folder(
    target: Path,
    config: TransformerConfig,
    tensors: Iterable[tuple[str, Tensor]],
    *,
    like: dict[str, Tensor],
) -> None:
    """Tensors first: without config.json the folder is refused."""
    path = target / "diffusion_pytorch_model.safetensors"
    files.stream_tensors(path, tensors, like=like, metadata={"format": "pt"})
    write_json(target / "config.json", _diffusers_config(config))


def _diffusers_config(config: TransformerConfig) -> dict[str, Any]:
    """What diffusers' class is built from; it has no field for positions."""
    entry = config_io.to_upstream(config)
    fixed = config_io.PROBE
    for name in ("theta", "max_position", "timestep_scale"):
        if getattr(config, name) != getattr(fixed, name):
            raise UserError(
                f"diffusers has no field for {name}: expected {getattr(fixed, name)}, "
                f"got {getattr(config, name)}; keep the single file."
            )
    return _DIFFUSERS_FIXED | {name: entry[name] for name in _SHARED_FIELDS}
