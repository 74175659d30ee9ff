"""Autoencoders on disk: our own bfloat16 files and both upstream layouts.

Our files hold diffusers' tensor names and axis order, and the fields of `VAEConfig`
under `config.vae` of the metadata. A file without those fields is taken for an upstream
checkpoint of 0.9.5 or later, all of which share one shape.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
from flax import nnx

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import safetensors_files as files
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_config import VAE_095, VAEConfig
from aw_jax.models.ltx.vae_weights import (
    TreePath,
    abstract_vae,
    ours_from_upstream,
    tensor_names,
    upstream_from_ours,
)

PREFIX = "vae."
"""What a single-file checkpoint puts before the names of the autoencoder."""
UNUSED = ("channel", "mean-of-stds", "mean-of-stds_over_std-of-means")
"""Statistics of a single-file checkpoint that no model reads."""


def save_vae(
    path: str | Path, vae: VideoVAE, *, metadata: dict[str, str] | None = None
) -> None:
    """Writes `vae`: parameters in bfloat16, buffers in float32.

    Args:
        path: The .safetensors file to write.
        vae: The autoencoder.
        metadata: More strings to keep beside the configuration.
    """
    arrays = dict(nnx.to_flat_state(nnx.state(vae)))
    tensors = {}
    for name, at in tensor_names(vae.config, "diffusers").items():
        leaf = arrays[at]
        dtype = ml_dtypes.bfloat16 if isinstance(leaf, nnx.Param) else np.float32
        array = np.asarray(leaf.get_value(), np.float32)
        tensors[name] = upstream_from_ours(array, at).astype(dtype)
    config = json.dumps({"vae": dataclasses.asdict(vae.config)})
    files.save_tensors(path, tensors, metadata={**(metadata or {}), "config": config})


def load_vae(path: str | Path, *, dtype: str = "float32") -> VideoVAE:
    """The autoencoder in `path`: ours, a diffusers file, or a single-file checkpoint.

    Args:
        path: A .safetensors file.
        dtype: What parameters are stored as in memory; buffers stay float32.

    Raises:
        UserError: The file is unreadable, or its tensors are not exactly those of the
            model (0.9.0 and 0.9.1 have others).
    """
    config = _config(path)
    names = _names(path, config)
    graphdef, state = abstract_vae(config)
    leaves = dict(nnx.to_flat_state(state))
    arrays = {}
    for name, tensor in files.iterate_tensors(path, names):
        at = names[name]
        array, leaf = ours_from_upstream(tensor, at), leaves[at]
        files.check_shape(path, name, array.shape, leaf.shape)
        kind = dtype if isinstance(leaf, nnx.Param) else "float32"
        arrays[at] = leaf.replace(jnp.asarray(array).astype(kind))
    return nnx.merge(graphdef, nnx.from_flat_state(arrays))


def _config(path: str | Path) -> VAEConfig:
    found: dict[str, Any] = files.file_config(path).get("vae", {})
    known = {field.name for field in dataclasses.fields(VAEConfig)}
    if not known <= set(found):
        return VAE_095
    try:
        return VAEConfig(**{name: _tuples(found[name]) for name in known})
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: the metadata config.vae is unfit: {error}") from None


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _names(path: str | Path, config: VAEConfig) -> dict[str, TreePath]:
    """The path in the model of every tensor of the autoencoder in the file."""
    found = set(files.tensor_shapes(path))
    if any(name.startswith(PREFIX) for name in found):
        found = {name for name in found if name.startswith(PREFIX)}
        found -= {f"{PREFIX}per_channel_statistics.{name}" for name in UNUSED}
        names = tensor_names(config, "lightricks")
        names = {PREFIX + name: at for name, at in names.items()}
    else:
        names = tensor_names(config, "diffusers")
    files.check_names(path, found=found, expected=names)
    return names
