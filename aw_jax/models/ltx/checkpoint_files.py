"""Where the parts of a checkpoint lie, whichever form it was published in.

    a single file      transformer and autoencoder in one .safetensors file
    our folder         transformer.safetensors and vae.safetensors; where the latter is
                       absent, the former is a single file that holds both
    a pipeline         diffusers' folder with transformer/ and vae/, and the text
                       encoder's text_encoder/ and tokenizer/
    a model's folder   config.json and diffusion_pytorch_model*.safetensors

Only names and headers are read here.
"""

import dataclasses
from pathlib import Path
from typing import Any

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import config as config_io
from aw_jax.models.ltx import vae_files, weights
from aw_jax.models.ltx.config import RopeTime, TransformerConfig
from aw_jax.models.ltx.lora_pairs import is_adapter
from aw_jax.models.ltx.safetensors_files import (
    check_names,
    check_shape,
    file_config,
    tensor_shapes,
)
from aw_jax.models.ltx.transformer_files import (
    PREFIX,
    folder_files,
    single_file_entry,
)
from aw_jax.models.ltx.weights import Layout

TRANSFORMER, VAE = "transformer.safetensors", "vae.safetensors"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The files and folders of its parts; what is None lies elsewhere."""

    transformer: Path
    vae: Path | None
    text: Path | None = None
    """Folder of the text encoder and its tokenizer."""


def find(path: str | Path) -> Checkpoint:
    """The parts of the checkpoint at `path`.

    Raises:
        UserError: nothing is there, or nothing that is a transformer.
    """
    path = Path(path)
    if path.is_file():
        return Checkpoint(transformer=path, vae=_inside(path))
    if not path.is_dir():
        raise UserError(
            f"{path}: no such file or folder; expected a checkpoint of LTX-Video "
            "(scripts/download_weights.sh lists the public ones)."
        )
    transformer = _first(path / TRANSFORMER, path / "transformer")
    if transformer is None and (path / "config.json").is_file():
        transformer = path
    if transformer is None:
        raise UserError(
            f"{path}: expected {TRANSFORMER}, a folder transformer/ or a config.json, "
            f"got {sorted(file.name for file in path.iterdir())}."
        )
    vae = _first(path / VAE, path / "vae") or _inside(transformer)
    text = path if (path / "text_encoder").is_dir() else None
    return Checkpoint(transformer=transformer, vae=vae, text=text)


def described(
    path: Path, *, rope_time: RopeTime | None, **types: Any
) -> TransformerConfig:
    """The config of a transformer.

    Args:
        path: of the file or folder.
        rope_time: of a folder, which does not tell it; a file decides for itself.
        types: `dtype` and `param_dtype`.

    Raises:
        UserError: not a transformer, or a folder without `rope_time`.
    """
    if path.is_dir():
        if rope_time is None:
            raise UserError(
                f"{path}: a diffusers folder does not tell rope_time; pass causal "
                "(0.9.5, 13B) or plain."
            )
        entry, _ = folder_files(path)
        return config_io.from_upstream(entry, rope_time=rope_time, **types)
    if is_adapter(path):
        raise UserError(f"{path}: expected a checkpoint, got an adapter (LoRA).")
    return config_io.from_upstream(single_file_entry(path), **types)


def check_tensors(path: Path, config: TransformerConfig) -> None:
    """Raises UserError unless names and shapes of all tensors are the transformer's."""
    layout: Layout = "diffusers" if path.is_dir() else "lightricks"
    prefix = "" if path.is_dir() else PREFIX
    files = folder_files(path)[1] if path.is_dir() else [path]
    shapes = {
        name.removeprefix(prefix): shape
        for file in files
        for name, shape in tensor_shapes(file).items()
        if name.startswith(prefix)
    }
    slots = weights.tensor_names(config, layout)
    check_names(path, found=shapes, expected=slots)
    for name, shape in shapes.items():
        check_shape(path, name, shape, weights.tensor_shape(config, slots[name]))


def scheduler(path: Path) -> tuple[dict[str, Any], list[float] | None]:
    """What a single file says of its schedule, and the levels it is limited to.

    Empty and None where it says nothing; distilled checkpoints name their levels
    (`allowed_inference_steps`).
    """
    if path.is_dir():
        return {}, None
    config = file_config(path)
    return config.get("scheduler", {}), config.get("allowed_inference_steps")


def _first(*paths: Path) -> Path | None:
    return next((path for path in paths if path.exists()), None)


def _inside(path: Path) -> Path | None:
    """The file itself where it holds an autoencoder as well."""
    if path.is_dir():
        return None
    held = any(name.startswith(vae_files.PREFIX) for name in tensor_shapes(path))
    return path if held else None
