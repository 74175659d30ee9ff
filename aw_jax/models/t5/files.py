"""The encoder from a folder of transformers: config.json and safetensors.

The tensors stand in `model.safetensors`, or in several files that
`model.safetensors.index.json` lists ({"weight_map": {tensor: file}}). A diffusers
pipeline has that folder as `text_encoder`, its tokenizer's as `tokenizer`.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aw_jax.core.errors import UserError
from aw_jax.models.ltx.safetensors_files import iterate_tensors, tensor_shapes
from aw_jax.models.t5 import config as config_io
from aw_jax.models.t5 import weights
from aw_jax.models.t5.encoder import T5Encoder
from aw_jax.models.t5.weights import Tensor

CONFIG = "config.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


def load_encoder(folder: str | Path, *, t5_mask: bool, **changes: Any) -> T5Encoder:
    """The encoder in `folder`, or in its subfolder `text_encoder`.

    Args:
        folder: of a text encoder, or of a whole diffusers pipeline.
        t5_mask: whether padding is hidden from the attention, which no file tells.
        changes: `dtype` and `param_dtype` of `T5Config`.

    Raises:
        UserError: a file is absent or damaged, or a tensor is missing, unknown or
            mis-shaped; nothing is read before all names and shapes fit.
    """
    folder = part(folder, "text_encoder")
    entry = _json(folder / CONFIG)
    source = folder / CONFIG
    config = config_io.from_upstream(entry, source=source, t5_mask=t5_mask, **changes)
    shapes: dict[str, tuple[int, ...]] = {}
    names: dict[Path, list[str]] = {}
    for file in tensor_files(folder):
        found = tensor_shapes(file)
        names[file], shapes = list(found), shapes | found
    read = set(weights.fitting_names(config, shapes, source=folder))
    kept = {file: [n for n in found if n in read] for file, found in names.items()}
    return weights.from_upstream(config, _every(kept))


def checksum(folder: str | Path) -> str:
    """The sha256 of the encoder in `folder`: its config and every byte of its tensors.

    Raises:
        UserError: a file is absent.
    """
    folder = part(folder, "text_encoder")
    _json(folder / CONFIG)
    digest = hashlib.sha256()
    for path in (folder / CONFIG, *tensor_files(folder)):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def part(folder: str | Path, name: str) -> Path:
    """The subfolder `name` of a diffusers pipeline; a folder without one is itself it.

    Raises:
        UserError: no such folder.
    """
    if not Path(folder).is_dir():
        raise UserError(
            f"{folder}: no such folder; expected a diffusers pipeline, or the files of "
            "its text_encoder and tokenizer."
        )
    inner = Path(folder) / name
    return inner if inner.is_dir() else Path(folder)


def tensor_files(folder: Path) -> list[Path]:
    """The safetensors files of a model's folder, in the order of their names.

    Raises:
        UserError: there are none, or one that the index names is absent.
    """
    index = folder / INDEX
    if not index.is_file():
        if (folder / SINGLE).is_file():
            return [folder / SINGLE]
        raise UserError(
            f"{folder}: expected {SINGLE} or {INDEX}, got "
            f"{sorted(path.name for path in folder.iterdir())}; other formats are not "
            "read."
        )
    shards = _json(index).get("weight_map")
    names = set(shards.values()) if isinstance(shards, dict) else set()
    if not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"{index}: expected an entry weight_map {{tensor: file}}.")
    files = [folder / name for name in sorted(names)]
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        raise UserError(
            f"{index}: names {len(files)} files, of which {', '.join(absent)} are "
            "absent; download them again."
        )
    return files


def _every(names: dict[Path, list[str]]) -> Iterator[tuple[str, Tensor]]:
    for file, kept in names.items():
        yield from iterate_tensors(file, kept)


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(
            f"{path.parent}: expected {path.name}, got "
            f"{sorted(found.name for found in path.parent.iterdir())}."
        )
    try:
        value = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path}: no JSON ({error}).") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object, got {type(value).__name__}.")
    return value
