"""Adapters of other programs, which hold matrices alone: diffusers', ComfyUI's, peft's.

What they were trained with stands in `adapters.json` beside them, and their prompt in
`prompt.safetensors`. Nothing of it can be checked against the adapter.
"""

import dataclasses
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from aw_jax.config.report import from_dict
from aw_jax.core.arrays import Array, Float
from aw_jax.core.errors import UserError
from aw_jax.models.ltx.config import RopeTime
from aw_jax.models.ltx.lora_files import load_adapter
from aw_jax.models.ltx.safetensors_files import file_metadata
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.models.t5 import embedding_cache
from aw_jax.restoration.method import MethodConfig

ASSUMED, EMBEDDED = "adapters.json", "prompt.safetensors"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assumed:
    """What an adapter is taken to be trained with."""

    method: MethodConfig = MethodConfig()
    rope_time: RopeTime | None = None
    """Needed where the backbone is a diffusers folder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbeddedPrompt:
    """A prompt that T5 has embedded."""

    rows: Float[np.ndarray, "l t"]
    """Of its tokens, without padding."""
    t5_mask: bool
    """Whether T5 was shown the padding."""


def is_foreign(path: Path) -> bool:
    """Whether an adapter does not say what it was trained with."""
    return "conditions" not in file_metadata(path)


def load(
    path: Path, base: Transformer, name: str
) -> tuple[Transformer, Float[Array, "l t"], MethodConfig]:
    """The base with the adapter, the prompt, and the method that is assumed.

    Raises:
        UserError: not an adapter of this base, no prompt, or one of another encoder.
    """
    prompt = embedded_prompt(path.parent)
    if prompt is None:
        raise UserError(
            f"{path}: expected the embedding of its prompt in "
            f"{path.parent / EMBEDDED}, found none."
        )
    width, channels = prompt.rows.shape[-1], base.config.caption_channels
    if width != channels:
        raise UserError(
            f"{path.parent / EMBEDDED}: has {width} channels, the transformer takes "
            f"{channels}: use the text encoder that belongs to it."
        )
    model = load_adapter(base, path, name)
    return model, jnp.asarray(prompt.rows), assumed(path.parent).method


def assumed(folder: Path) -> Assumed:
    """What adapters.json says.

    Raises:
        UserError: there is none, or it is no such JSON.
    """
    path = folder / ASSUMED
    if not path.is_file():
        raise UserError(
            f"{path}: expected what the adapters were trained with; {{}} is the "
            "paper's method."
        )
    try:
        return from_dict(Assumed, json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: {error}") from error


def embedded_prompt(folder: Path) -> EmbeddedPrompt | None:
    """The prompt in prompt.safetensors, if there is one.

    Raises:
        UserError: it is damaged, or another file.
    """
    if not (folder / EMBEDDED).is_file():
        return None
    entry, key = embedding_cache.read_file(folder / EMBEDDED)
    rows = entry.embeddings[: entry.length].astype(np.float32)
    return EmbeddedPrompt(rows=rows, t5_mask=key.config.t5_mask)
