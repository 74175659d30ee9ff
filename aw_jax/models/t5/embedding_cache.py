"""Prompt embeddings on disk, so that a prompt is encoded once and T5 seldom loaded.

One safetensors file a prompt, named by the hash of all that its embedding follows from:
`embeddings` [l, d] in bfloat16 with padding, `lengths` [1]; in the metadata the key in
words, and a checksum of both tensors. The XXL's take 2.1 MB a prompt.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from absl import logging
from jaxtyping import Float

from aw_jax.core.errors import UserError
from aw_jax.models.ltx.safetensors_files import (
    Tensor,
    file_metadata,
    iterate_tensors,
    save_tensors,
    tensor_shapes,
)
from aw_jax.models.t5.config import TextConfig

NAMES = {"embeddings", "lengths"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Key:
    """All that the embedding of a prompt follows from."""

    prompt: str
    tokenizer: str
    """Checksum of the vocabulary."""
    encoder: str
    """Checksum of its config and weights."""
    config: TextConfig

    @property
    def text(self) -> str:
        """The fields as JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    def path(self, folder: str | Path) -> Path:
        """Where the embedding lies in the cache `folder`."""
        return Path(folder) / f"{_sha256(self.text.encode())}.safetensors"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One prompt's embedding."""

    embeddings: Float[np.ndarray, "l d"]
    """bfloat16, padding included."""
    length: int
    """How many leading rows are tokens."""


def write(folder: str | Path, key: Key, entry: Entry) -> None:
    """Puts `entry` into the cache, atomically."""
    tensors = {
        "embeddings": entry.embeddings,
        "lengths": np.array([entry.length], np.int32),
    }
    notes = {"key": key.text, "sha256": _checksum(tensors)}
    save_tensors(key.path(folder), tensors, metadata=notes)


def read_all(folder: str | Path, keys: Iterable[Key]) -> dict[Key, Entry]:
    """The cached embeddings among `keys`; a damaged one warns and counts as absent."""
    found = {key: _read(folder, key) for key in dict.fromkeys(keys)}
    return {key: entry for key, entry in found.items() if entry is not None}


def find(folder: str | Path, prompt: str, config: TextConfig) -> Entry:
    """The cached embedding of `prompt`, found by its words: T5 need not be there.

    Raises:
        UserError: there is none with this config, or there are those of several T5s.
    """
    keys = [key for _, key in _keys(folder) if key.prompt == prompt]
    found = [key for key in keys if key.config == config]
    if len(found) != 1:
        others = ", ".join(str(dataclasses.asdict(key.config)) for key in keys)
        raise UserError(
            f"{folder}: expected one embedding of {prompt!r} with "
            f"{dataclasses.asdict(config)}, got {len(found)} (its embeddings: "
            f"{others or 'none'}); name the T5 folder."
        )
    return _whole(found[0].path(folder), found[0])


def read_file(path: str | Path) -> tuple[Entry, Key]:
    """The embedding in one file of a cache, and what it follows from.

    Raises:
        UserError: not such a file, or a damaged one.
    """
    key = _key(Path(path))
    if key is None:
        raise UserError(f"{path}: expected an embedding that this project has cached.")
    return _whole(Path(path), key), key


def _keys(folder: str | Path) -> list[tuple[Path, Key]]:
    """Every file of the cache with its key; what is none of it is passed over."""
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder; expected cached embeddings.")
    paths = sorted(Path(folder).glob("*.safetensors"))
    return [(path, key) for path in paths if (key := _key(path)) is not None]


def _key(path: Path) -> Key | None:
    try:
        fields = json.loads(file_metadata(path).get("key", "null"))
        return Key(**fields | {"config": TextConfig(**fields["config"])})
    except (TypeError, KeyError, ValueError):
        return None


def _read(folder: str | Path, key: Key) -> Entry | None:
    path = key.path(folder)
    if not path.is_file():
        return None
    try:
        return _whole(path, key)
    except UserError as error:
        logging.warning("%s; this prompt is encoded again.", str(error).rstrip("."))
        return None


def _whole(path: Path, key: Key) -> Entry:
    """The entry of a file whose every byte is what `write` wrote for `key`."""
    shapes, notes = tensor_shapes(path), file_metadata(path)
    if set(shapes) != NAMES or notes.get("key") != key.text:
        raise UserError(f"{path}: not the cached embedding of {key.prompt!r}.")
    tensors = dict(iterate_tensors(path, NAMES))
    if _checksum(tensors) != notes.get("sha256"):
        raise UserError(f"{path}: the cached embedding of {key.prompt!r} is damaged.")
    length = int(tensors["lengths"][0])
    return Entry(embeddings=tensors["embeddings"], length=length)


def _checksum(tensors: dict[str, Tensor]) -> str:
    """sha256 of every name, type, shape and value."""
    parts = []
    for name in sorted(tensors):
        array = tensors[name]
        parts += [f"{name} {array.dtype} {array.shape}".encode(), array.tobytes()]
    return _sha256(b"".join(parts))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
