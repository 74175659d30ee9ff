"""The transformer in and out of files: one safetensors file, or a diffusers folder.

A single file holds Lightricks' names under `model.diffusion_model.`, next to those of
the autoencoder, and its shapes as JSON in the metadata (`config`, entry `transformer`).
A diffusers folder holds `config.json` and one or several `diffusion_pytorch_model*`
files; it does not say which `rope_time` it was trained with, so the caller must.
"""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import config as config_io
from aw_jax.models.ltx import weights
from aw_jax.models.ltx.safetensors_files import (
    file_config,
    mapped_tensors,
    save_tensors,
    tensor_shapes,
)
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.models.ltx.weights import Layout, Place, Tensor

PREFIX = "model.diffusion_model."
"""Of the transformer's tensors in a single-file checkpoint."""


def save_transformer(
    path: str | Path,
    model: Transformer,
    *,
    dtype: str | None = None,
    metadata: dict[str, str] | None = None,
) -> None:
    """Writes a single file with Lightricks' names and the config in its metadata.

    Args:
        path: of the .safetensors file.
        model: adapters that it may carry are left out.
        dtype: what the tensors are stored as; by default what they are.
        metadata: further strings for the file's header.
    """
    config = json.dumps({"transformer": config_io.to_upstream(model.config)})
    header = (metadata or {}) | {"config": config}
    save_tensors(path, single_file_tensors(model, dtype=dtype), metadata=header)


def single_file_tensors(
    model: Transformer, *, dtype: str | None = None
) -> dict[str, Tensor]:
    """The transformer's part of a single file, by name."""
    tensors = weights.to_upstream(model, "lightricks").items()
    kept = {PREFIX + name: array for name, array in tensors}
    if dtype is None:
        return kept
    return {name: array.astype(jnp.dtype(dtype)) for name, array in kept.items()}


def load_transformer(
    path: str | Path, *, place: Place | None = None, **changes: Any
) -> Transformer:
    """The transformer of a single file or of a diffusers folder.

    Beside the parameters, no more is held in memory than a device's part of a tensor.

    Args:
        path: of the file or folder.
        place: how each array is spread over devices (placement.py); by default it is
            whole on the default one.
        changes: fields of `TransformerConfig` that no file decides: `dtype`,
            `param_dtype`, `remat`, `unroll`, ...; `rope_time` for a folder.

    Raises:
        UserError: no such file, not a safetensors file, no config in it, or a tensor
            is missing, unknown or mis-shaped.
    """
    if Path(path).is_dir():
        return _load_folder(Path(path), place, **changes)
    config = config_io.from_upstream(single_file_entry(path), **changes)
    # Stack after stack, so that few wait for their last block.
    order = [PREFIX + name for name in weights.tensor_names(config, "lightricks")]
    found = {name for name in tensor_shapes(path) if name.startswith(PREFIX)}
    names = [name for name in order if name in found] + sorted(found - set(order))
    tensors = (
        (name.removeprefix(PREFIX), tensor)
        for name, tensor in mapped_tensors(path, names)
    )
    return weights.from_upstream(
        config, tensors, "lightricks", source=path, place=place
    )


def single_file_entry(path: str | Path) -> dict[str, Any]:
    """What the metadata of a single file says of its transformer.

    Raises:
        UserError: it says nothing.
    """
    entry = file_config(path).get("transformer")
    if entry is None:
        raise UserError(
            f"{path}: metadata `config` has no entry `transformer`; expected a "
            "single-file LTX-Video checkpoint that embeds its config."
        )
    return entry


def _load_folder(folder: Path, place: Place | None, **changes: Any) -> Transformer:
    if "rope_time" not in changes:
        raise UserError(
            f"{folder}: a diffusers folder does not tell rope_time; pass "
            "rope_time='causal' (0.9.5, 13B) or 'plain'."
        )
    entry, files = folder_files(folder)
    config = config_io.from_upstream(entry, **changes)
    layout: Layout = "diffusers"
    every = (pair for f in files for pair in mapped_tensors(f, tensor_shapes(f)))
    return weights.from_upstream(config, every, layout, source=folder, place=place)


def folder_files(folder: Path) -> tuple[dict[str, Any], list[Path]]:
    """(config, files of tensors) of a diffusers folder.

    Raises:
        UserError: it is none.
    """
    files = sorted(folder.glob("diffusion_pytorch_model*.safetensors"))
    described = folder / "config.json"
    if not files or not described.is_file():
        raise UserError(
            f"{folder}: expected config.json and diffusion_pytorch_model*.safetensors, "
            f"got {sorted(p.name for p in folder.iterdir())}."
        )
    return json.loads(described.read_text()), files
