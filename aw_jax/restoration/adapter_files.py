"""Adapter files of predictor and restorer: weights, prompt, and what they hold for.

An adapter is right only with the base, positions, heatmaps and schedule that it was
trained with. All of that stands in the file's metadata and is checked on loading.
"""

import dataclasses
import hashlib
import json
from importlib import metadata
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from aw_jax.config.report import from_dict, to_dict
from aw_jax.core.arrays import Array, Float
from aw_jax.core.errors import UserError
from aw_jax.models.ltx.lora_files import adapter_tensors, load_adapter
from aw_jax.models.ltx.safetensors_files import (
    file_metadata,
    iterate_tensors,
    save_tensors,
    tensor_shapes,
)
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.restoration.method import MethodConfig

PROMPT = "prompt"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heatmaps:
    """What the heatmaps are that an adapter was trained with."""

    net: str
    constant: float
    """Distances are divided by it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conditions:
    """What an adapter holds for."""

    base: str
    """Checksum of the transformer under it."""
    vae: str
    """Checksum of the autoencoder."""
    ridge: str = ""
    """Checksum of the linear estimate that the path starts at, if it does."""
    rope_time: str
    strides: tuple[int, int]
    """Frames and pixels of the video per latent step."""
    heatmaps: Heatmaps
    method: MethodConfig
    t5_mask: bool | None = None
    """Whether T5 was shown the padding of the prompt; None: it is not T5's."""


def checksum(path: str | Path) -> str:
    """Sha256 of a file's bytes; of a folder, of its files' sums in their order."""
    digest = hashlib.sha256()
    if Path(path).is_dir():
        for file in sorted(Path(path).iterdir()):
            digest.update(f"{file.name} {checksum(file)}\n".encode())
        return digest.hexdigest()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def save(
    path: str | Path,
    model: Transformer,
    name: str,
    *,
    prompt: Float[np.ndarray, "l t"],
    conditions: Conditions,
    dtype: str = "bfloat16",
) -> None:
    """Writes adapter `name` of `model` with its prompt and conditions."""
    tensors = adapter_tensors(model, name) | {PROMPT: np.asarray(prompt)}
    stored = {key: array.astype(jnp.dtype(dtype)) for key, array in tensors.items()}
    notes = {
        "format": "aw_jax adapter",
        "aw_jax": metadata.version("aw_jax"),
        "conditions": json.dumps(to_dict(conditions)),
    }
    save_tensors(path, stored, metadata=notes)


def load(
    path: str | Path, base: Transformer, name: str
) -> tuple[Transformer, Float[Array, "l t"], Conditions]:
    """The base with the file's adapter, the prompt, and what both hold for.

    Raises:
        UserError: not an adapter of this project, or not one of this base.
    """
    conditions = read_conditions(path)
    if PROMPT not in tensor_shapes(path):
        raise UserError(f"{path}: expected a tensor '{PROMPT}', found none.")
    ((_, prompt),) = iterate_tensors(path, [PROMPT])
    model = load_adapter(base, path, name, besides=(PROMPT,))
    return model, jnp.asarray(prompt.astype(np.float32)), conditions


def read_conditions(path: str | Path) -> Conditions:
    """What the adapter of a file holds for."""
    text = file_metadata(path).get("conditions")
    if text is None:
        raise UserError(
            f"{path}: expected metadata 'conditions', found none; adapters of other "
            "programs do not say what they were trained with: adapters.json and "
            "prompt.safetensors beside it must."
        )
    try:
        return from_dict(Conditions, json.loads(text))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: metadata 'conditions': {error}") from error


def check(
    path: str | Path,
    conditions: Conditions,
    *,
    base: str,
    vae: str,
    ridge: str,
    transformer: Transformer,
    codec: VideoVAE,
) -> None:
    """Raises UserError unless the adapter of `path` was trained with these parts."""
    strides = (codec.config.time_stride, codec.config.space_stride)
    found = {
        "base": (conditions.base, base),
        "vae": (conditions.vae, vae),
        "rope_time": (conditions.rope_time, transformer.config.rope_time),
        "strides": (tuple(conditions.strides), strides),
    }
    if conditions.method.source == "ridge":
        found["ridge"] = (conditions.ridge, ridge)
    for field, (wanted, got) in found.items():
        if wanted != got:
            raise UserError(
                f"{path}: trained with {field}={wanted}, got {got}; use the files "
                "that belong together."
            )
