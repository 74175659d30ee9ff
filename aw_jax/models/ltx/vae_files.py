"""Autoencoders on disk: our own bfloat16 files and both upstreams' files.

    our file          diffusers' names, the fields of `VAEConfig` in its metadata
    single file       Lightricks' names under `vae.`, beside the transformer's tensors;
                      the metadata describe the blocks (`vae_lightricks`)
    diffusers folder  `config.json` (`vae_diffusers`) and diffusion_pytorch_model*

A file that describes nothing is recognised by its tensors.
"""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
from flax import nnx

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import safetensors_files as files
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_config import VAE_090, VAE_091, VAE_095, VAEConfig
from aw_jax.models.ltx.vae_diffusers import from_diffusers, to_diffusers
from aw_jax.models.ltx.vae_lightricks import from_lightricks, to_lightricks
from aw_jax.models.ltx.vae_weights import (
    Layout,
    TreePath,
    abstract_vae,
    ours_from_upstream,
    tensor_names,
    upstream_from_ours,
)

PREFIX = "vae."
"""What a single-file checkpoint puts before the names of the autoencoder."""
UNUSED: dict[Layout, tuple[str, ...]] = {
    "lightricks": (
        "per_channel_statistics.channel",
        "per_channel_statistics.mean-of-stds",
        "per_channel_statistics.mean-of-stds_over_std-of-means",
    ),
    "diffusers": (),
}
"""Tensors that upstream files hold and no model reads, in 0.9.0, 0.9.1 and 0.9.5 alike.

Source: `convert_ltx_vae_checkpoint_to_diffusers` in diffusers' single_file_utils.py
drops these three; `CausalVideoAutoencoder.load_state_dict` reads only the other two
statistics. diffusers writes what its class holds and nothing else.
"""
Shapes = dict[str, tuple[int, ...]]


def save_vae(
    path: str | Path, vae: VideoVAE, *, metadata: dict[str, str] | None = None
) -> None:
    """Writes our file of `vae`: parameters in bfloat16, buffers in float32.

    Args:
        path: The .safetensors file to write.
        vae: The autoencoder.
        metadata: More strings to keep beside the configuration.
    """
    config = json.dumps({"vae": _fields(vae.config)})
    header = {**(metadata or {}), "config": config}
    files.save_tensors(path, upstream_tensors(vae, "diffusers"), metadata=header)


def export_single_file(
    path: str | Path, vae: VideoVAE, *, metadata: dict[str, str] | None = None
) -> None:
    """Writes `vae` as a single-file checkpoint has it: for LTX-Video and ComfyUI."""
    tensors = upstream_tensors(vae, "lightricks")
    config = json.dumps({"vae": to_lightricks(vae.config)})
    header = {**(metadata or {}), "config": config}
    prefixed = {PREFIX + name: tensor for name, tensor in tensors.items()}
    files.save_tensors(path, prefixed, metadata=header)


def export_folder(folder: str | Path, vae: VideoVAE) -> None:
    """Writes `vae` as the folder `vae` of a diffusers pipeline has it.

    Raises:
        UserError: diffusers cannot describe this autoencoder.
    """
    config = to_diffusers(vae.config)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = upstream_tensors(vae, "diffusers")
    path = folder / "diffusion_pytorch_model.safetensors"
    files.save_tensors(path, tensors, metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def upstream_tensors(vae: VideoVAE, layout: Layout) -> dict[str, np.ndarray]:
    """Every array by its name: parameters in bfloat16, buffers in float32."""
    arrays = dict(nnx.to_flat_state(nnx.state(vae)))
    tensors = {}
    for name, at in tensor_names(vae.config, layout).items():
        leaf = arrays[at]
        dtype = ml_dtypes.bfloat16 if isinstance(leaf, nnx.Param) else np.float32
        array = np.asarray(leaf.get_value(), np.float32)
        tensors[name] = upstream_from_ours(array, at).astype(dtype)
    return tensors


def load_vae(
    path: str | Path, *, dtype: str = "float32", config: VAEConfig | None = None
) -> VideoVAE:
    """The autoencoder in `path`: ours, a diffusers folder or file, or a single file.

    Args:
        path: A .safetensors file, or a diffusers folder with its `config.json`.
        dtype: What parameters are stored as in memory; buffers stay float32.
        config: Its shape, where the file says neither that nor holds a public one.

    Raises:
        UserError: The file is unreadable, describes what this autoencoder does not do,
            or its tensors are not exactly those of the model.
    """
    parts = _parts(Path(path))
    shapes = {k: v for part in parts for k, v in files.tensor_shapes(part).items()}
    config = config or _config(path, parts, shapes)
    names = _names(path, config, shapes)
    graphdef, state = abstract_vae(config)
    leaves = dict(nnx.to_flat_state(state))
    for name, at in names.items():
        view = np.broadcast_to(np.float32(0), leaves[at].shape)
        expected = upstream_from_ours(view, at).shape
        files.check_shape(path, name, shapes[name], expected)
    arrays = {}
    for name, tensor in _tensors(parts, names):
        at = names[name]
        array, leaf = ours_from_upstream(tensor, at), leaves[at]
        kind = dtype if isinstance(leaf, nnx.Param) else "float32"
        arrays[at] = leaf.replace(jnp.asarray(array).astype(kind))
    return nnx.merge(graphdef, nnx.from_flat_state(arrays))


def recognised(shapes: Shapes) -> VAEConfig:
    """The public layout that tensors of these shapes belong to.

    By the rule of diffusers (`convert_ltx_vae_checkpoint_to_diffusers`): the encoder of
    0.9.5 ends 2,048 wide, and of the older two only 0.9.1 embeds a timestep.
    """
    bare = {name.removeprefix(PREFIX): shape for name, shape in shapes.items()}
    last = bare.get("encoder.conv_out.conv.weight", ())
    if not last or last[1] == VAE_095.encoder_widths[-1]:
        return VAE_095
    timed = any(".time_embedder." in name for name in bare)
    return VAE_091 if timed else VAE_090


def _parts(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    parts = sorted(path.glob("diffusion_pytorch_model*.safetensors"))
    if not parts or not (path / "config.json").is_file():
        raise UserError(
            f"{path}: expected config.json and diffusion_pytorch_model*.safetensors, "
            f"got {sorted(file.name for file in path.iterdir())}."
        )
    return parts


def _config(path: str | Path, parts: list[Path], shapes: Shapes) -> VAEConfig:
    try:
        if Path(path).is_dir():
            return from_diffusers(json.loads((Path(path) / "config.json").read_text()))
        found: dict[str, Any] = files.file_config(parts[0]).get("vae", {})
        if set(found) >= _REQUIRED:
            fields = {name: _tuples(found[name]) for name in _KNOWN & set(found)}
            return VAEConfig(**fields)
        if "encoder_blocks" in found or "blocks" in found:
            return from_lightricks(found)
    except (TypeError, ValueError, KeyError, AttributeError, UserError) as error:
        raise UserError(f"{path}: the metadata config.vae is unfit: {error}") from None
    return recognised(shapes)


_KNOWN = {field.name for field in dataclasses.fields(VAEConfig)}
_LATER = {
    "downsampling",
    "upsampling",
    "timestep_conditioning",
    "decoder_noise",
    "decode_noise_space",
}
_REQUIRED = _KNOWN - _LATER
"""Fields that every file of ours has; the later ones only where no default serves."""


def _fields(config: VAEConfig) -> dict[str, Any]:
    defaults = {field.name: field.default for field in dataclasses.fields(VAEConfig)}
    every = dataclasses.asdict(config)
    return {
        name: value
        for name, value in every.items()
        if name in _REQUIRED or value != defaults[name]
    }


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _names(path: str | Path, config: VAEConfig, shapes: Shapes) -> dict[str, TreePath]:
    """The path in the model of every tensor of the autoencoder in the file."""
    found = set(shapes)
    prefix = PREFIX if any(name.startswith(PREFIX) for name in found) else ""
    theirs = any(name.startswith("per_channel_statistics.") for name in found)
    layout: Layout = "lightricks" if prefix or theirs else "diffusers"
    names = tensor_names(config, layout)
    names = {prefix + name: at for name, at in names.items()}
    unused = {prefix + name for name in UNUSED[layout]}
    found = {name for name in found if name.startswith(prefix)} - unused
    files.check_names(path, found=found, expected=names)
    return names


def _tensors(
    parts: list[Path], names: dict[str, TreePath]
) -> Iterator[tuple[str, np.ndarray]]:
    for part in parts:
        held = [name for name in files.tensor_shapes(part) if name in names]
        yield from files.iterate_tensors(part, held)
