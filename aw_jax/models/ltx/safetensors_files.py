"""Weights on disk: one reader and writer for every .safetensors file of the project.

Tensors travel as numpy arrays under the names of the file, bfloat16 as ml_dtypes'. A
file's own configuration is JSON under the metadata key `config`.
"""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from aw_jax.core.atomic import replacing
from aw_jax.core.errors import UserError

Tensor = Shaped[np.ndarray, "..."]


def save_tensors(
    path: str | Path, tensors: dict[str, Tensor], *, metadata: dict[str, str]
) -> None:
    """Writes `tensors` and `metadata` to `path`, atomically."""
    dense = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    with replacing(path) as aside:
        aside.touch()
        mode = aside.stat().st_mode
        save_file(dense, aside, metadata=metadata)
        aside.chmod(mode)  # the library makes its files readable by their owner only
        _sort_header(aside)


def _sort_header(path: Path) -> None:
    """Puts the metadata in the order of its keys, in place: equal content, equal bytes.

    The format is a length (eight bytes), that many bytes of JSON, and the tensors; the
    library writes metadata in an order that changes from run to run.
    """
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
        order = sorted(header, key=lambda name: (name != "__metadata__", name))
        text = json.dumps(
            {name: header[name] for name in order},
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()
        if len(text) <= length:
            file.seek(8)
            file.write(text.ljust(length))


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
