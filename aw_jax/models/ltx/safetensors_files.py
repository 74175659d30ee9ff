"""Weights on disk: one reader and writer for every .safetensors file of the project.

Tensors travel as numpy arrays under the names of the file, bfloat16 as ml_dtypes'. A
file's own configuration is JSON under the metadata key `config`.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from safetensors import SafetensorError, safe_open

from aw_jax.core.atomic import replacing
from aw_jax.core.errors import UserError

Tensor = Shaped[np.ndarray, "..."]
_KINDS = {
    "bool": "BOOL",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "bfloat16": "BF16",
    **{f"float{n}": f"F{n}" for n in (16, 32, 64)},
    **{f"int{n}": f"I{n}" for n in (8, 16, 32, 64)},
    **{f"uint{n}": f"U{n}" for n in (8, 16, 32, 64)},
}
"""The format's word for a type."""


def save_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], *, metadata: dict[str, str]
) -> None:
    """Writes `tensors` and `metadata` to `path`, atomically.

    Equal content gives equal bytes. One tensor is copied at a time, so views into files
    take no memory.
    """
    arrays = {name: np.asarray(array) for name, array in tensors.items()}
    stream_tensors(path, arrays.items(), like=arrays, metadata=metadata)


def stream_tensors(
    path: str | Path,
    tensors: Iterable[tuple[str, Tensor]],
    *,
    like: Mapping[str, Tensor],
    metadata: dict[str, str],
) -> None:
    """As `save_tensors`, of tensors that are made as they come, in any order.

    Args:
        path: of the file.
        tensors: every name of `like` once.
        like: arrays that have the shapes and types of `tensors`, such as views.
        metadata: strings for the header.
    """
    header, starts = _header(like, metadata)
    missing = set(like)
    with replacing(path) as aside, aside.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for name, tensor in tensors:
            assert (tensor.shape, tensor.dtype) == (like[name].shape, like[name].dtype)
            missing.remove(name)
            file.seek(8 + len(header) + starts[name])
            file.write(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data)
        assert not missing


def _header(
    like: Mapping[str, Tensor], metadata: dict[str, str]
) -> tuple[bytes, dict[str, int]]:
    """The JSON that stands before the tensors, and where among them each one starts.

    The widest types come first, so that every tensor is aligned.
    """
    entries, starts, end = {}, {}, 0
    for name in sorted(like, key=lambda name: (-like[name].itemsize, name)):
        tensor = like[name]
        starts[name], end = end, end + tensor.nbytes
        entries[name] = {
            "dtype": _KINDS[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [starts[name], end],
        }
    notes = {"__metadata__": dict(sorted(metadata.items()))}
    ordered = notes | {name: entries[name] for name in sorted(entries)}
    text = json.dumps(ordered, ensure_ascii=False, separators=(",", ":")).encode()
    return text.ljust(-(-len(text) // 8) * 8), starts


def tensor_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of the file, by name; no tensor is read.

    Raises:
        UserError: The file is absent or no safetensors file.
    """
    with _opened(path) as file:
        names = file.keys()
        return {name: tuple(file.get_slice(name).get_shape()) for name in names}


def iterate_tensors(
    path: str | Path, names: Collection[str]
) -> Iterator[tuple[str, Tensor]]:
    """(name, array) of each of `names` in turn, so that only one is held at a time."""
    with _opened(path) as file:
        for name in names:
            yield name, file.get_tensor(name)


def mapped_tensors(
    path: str | Path, names: Collection[str]
) -> Iterator[tuple[str, Tensor]]:
    """As `iterate_tensors`, but views into the file: only what is used is read."""
    kinds, header = _dtypes(path, names), {}
    with Path(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    data = np.memmap(path, np.uint8, mode="r", offset=8 + length)
    for name in names:
        start, end = header[name]["data_offsets"]
        yield name, data[start:end].view(kinds[name]).reshape(header[name]["shape"])


def _dtypes(path: str | Path, names: Collection[str]) -> dict[str, np.dtype]:
    """The library's reading of each tensor's type, from an empty slice of it."""
    with _opened(path) as file:
        slices = {name: file.get_slice(name) for name in names}
        return {
            n: (x[:0] if x.get_shape() else x[...]).dtype for n, x in slices.items()
        }


def file_metadata(path: str | Path) -> dict[str, str]:
    """The strings that the file carries beside its tensors."""
    with _opened(path) as file:
        return file.metadata() or {}


def file_config(path: str | Path) -> dict[str, Any]:
    """The JSON object under the metadata key `config`; empty if the file has none."""
    text = file_metadata(path).get("config", "{}")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: the metadata `config` is no JSON ({error})."
        ) from None


def check_names(
    path: str | Path, *, found: Collection[str], expected: Collection[str]
) -> None:
    """Raises UserError unless the names `found` are exactly those `expected`."""
    missing = sorted(set(expected) - set(found))
    unused = sorted(set(found) - set(expected))
    if missing or unused:
        raise UserError(
            f"{path}: tensors do not fit the model: {listed(missing)} missing, "
            f"{listed(unused)} not used."
        )


def check_shape(
    path: str | Path, name: str, found: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    """Raises UserError unless the shapes of tensor `name` agree."""
    if tuple(found) != tuple(expected):
        raise UserError(
            f"{path}: tensor {name} has shape {tuple(found)}, the model expects "
            f"{tuple(expected)}."
        )


def listed(names: list[str]) -> str:
    """How many names there are, and the first three."""
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} ({shown})" if names else "0"


def _opened(path: str | Path) -> Any:
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; expected a .safetensors file.")
    try:
        return safe_open(path, framework="numpy")
    except SafetensorError as error:
        raise UserError(f"{path}: not a readable safetensors file ({error}).") from None
