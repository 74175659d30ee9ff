"""Reads a state dictionary that torch saved, without torch and without running code.

Both layouts are read: the zip archive (`data.pkl` and one raw file a storage, torch 1.6
and later) and the older stream (five pickles, then the storages). The unpickler knows
the six names a dictionary of tensors needs and refuses every other.
"""

import collections
import io
import pickle
import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aw_jax.core.arrays import Float, Int
from aw_jax.core.errors import UserError

MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
}


@dataclass
class _Storage:
    dtype: np.dtype
    count: int
    values: np.ndarray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state(
    path: Path,
) -> dict[str, Float[np.ndarray, "..."] | Int[np.ndarray, "..."]]:
    """The tensors of a torch state dictionary by name.

    Raises:
        UserError: the file is no torch file, is cut short, or asks for anything but
            plain tensors.
    """
    try:
        with path.open("rb") as file:
            tree = _read_zip(file) if zipfile.is_zipfile(path) else _read_stream(file)
        return {str(k): _array(v) for k, v in tree.items() if isinstance(v, _Tensor)}
    except (
        pickle.UnpicklingError,
        EOFError,
        KeyError,
        ValueError,
        AttributeError,
        TypeError,
        IndexError,
        struct.error,
        zipfile.BadZipFile,
    ) as error:
        raise UserError(
            f"{path} is not a readable torch state dictionary ({error}); "
            "download it again."
        ) from error


class _Unpickler(pickle.Unpickler):
    """Loads dictionaries of tensors and nothing else."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in DTYPES:
            return np.dtype(DTYPES[name])
        if module == "torch._utils" and name in _REBUILD:
            return _REBUILD[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: tuple) -> _Storage:
        kind, dtype, key, _location, count = pid[:5]
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError(f"unknown persistent object {kind!r}")
        return self.storages.setdefault(str(key), _Storage(dtype, int(count)))


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple, strides: tuple, *_unused: object
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


def _rebuild_parameter(data: _Tensor, *_unused: object) -> _Tensor:
    return data


_REBUILD = {
    "_rebuild_tensor": _rebuild_tensor,
    "_rebuild_tensor_v2": _rebuild_tensor,
    "_rebuild_parameter": _rebuild_parameter,
}


def _read_zip(file: io.BufferedIOBase) -> dict:
    with zipfile.ZipFile(file) as archive:
        (pickled,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
        root = pickled.removesuffix("data.pkl")
        unpickler = _Unpickler(io.BytesIO(archive.read(pickled)))
        tree = unpickler.load()
        for key, storage in unpickler.storages.items():
            storage.values = _values(storage, archive.read(f"{root}data/{key}"))
    return tree


def _read_stream(file: io.BufferedIOBase) -> dict:
    if _Unpickler(file).load() != MAGIC:
        raise ValueError("wrong magic number")
    _version, _system = _Unpickler(file).load(), _Unpickler(file).load()
    unpickler = _Unpickler(file)
    tree = unpickler.load()
    for key in _Unpickler(file).load():
        storage = unpickler.storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count != storage.count:
            raise ValueError(f"storage {key} holds {count}, not {storage.count}")
        data = file.read(count * storage.dtype.itemsize)
        storage.values = _values(storage, data)
    return tree


def _values(storage: _Storage, data: bytes) -> np.ndarray:
    values = np.frombuffer(data, storage.dtype.newbyteorder("<"))
    if values.size < storage.count:
        raise EOFError(f"{values.size} values where {storage.count} were promised")
    return values


def _array(tensor: _Tensor) -> np.ndarray:
    spans = [(n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True)]
    if tensor.offset < 0 or min(spans, default=0) < 0:
        raise ValueError("negative offset or stride")
    if tensor.offset + sum(spans) >= max(tensor.storage.values.size, 1):
        raise ValueError("a tensor reaches beyond its storage")
    values = tensor.storage.values[tensor.offset :]
    strides = [s * values.itemsize for s in tensor.strides]
    return np.lib.stride_tricks.as_strided(values, tensor.shape, strides).copy()
