"""Records: named arrays and JSON notes as bytes, many of them to an ArrayRecord shard.

    b"AWR1" | header length, uint32 | header, JSON | one zlib stream per array

The header holds the notes and, for each array, name, dtype, shape, stored bytes and the
crc32 of its raw bytes. Equal content gives equal bytes: no time, no host.
"""

import errno
import json
import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grain
import numpy as np
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from aw_jax.core import atomic
from aw_jax.core.errors import UserError

MAGIC = b"AWR1"
SUFFIX = ".arrayrecord"
_LENGTH = struct.Struct("<I")
_LEVEL = 1


def pack(arrays: dict[str, np.ndarray], notes: dict[str, Any]) -> bytes:
    """One record."""
    entries, streams = [], []
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array).tobytes()
        stream = zlib.compress(raw, _LEVEL)
        streams.append(stream)
        entries.append(
            {
                "name": name,
                "dtype": str(array.dtype),
                "shape": list(array.shape),
                "bytes": len(stream),
                "crc32": zlib.crc32(raw),
            }
        )
    header = json.dumps({"notes": notes, "arrays": entries}, sort_keys=True).encode()
    return b"".join([MAGIC, _LENGTH.pack(len(header)), header, *streams])


def unpack(record: bytes, *, where: str) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays and notes of a record.

    Args:
        record: what `pack` made.
        where: file and index, named in errors.

    Raises:
        UserError: the bytes are no record, or not whole.
    """
    try:
        header, at = _header(record)
        arrays = {}
        for entry in header["arrays"]:
            stream = record[at : at + entry["bytes"]]
            arrays[entry["name"]] = _array(stream, entry)
            at += entry["bytes"]
    except (ValueError, KeyError, TypeError, struct.error, zlib.error) as error:
        raise _damaged(where, error) from error
    return arrays, header["notes"]


def array_names(record: bytes, *, where: str) -> list[str]:
    """Which arrays a record holds, from its header alone.

    Raises:
        UserError: the bytes are no record, or its header is not whole.
    """
    try:
        return [entry["name"] for entry in _header(record)[0]["arrays"]]
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise _damaged(where, error) from error


def notes(record: bytes, *, where: str) -> dict[str, Any]:
    """The notes of a record; its arrays stay packed.

    Raises:
        UserError: the bytes are no record, or its header is not whole.
    """
    try:
        return _header(record)[0]["notes"]
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise _damaged(where, error) from error


def _damaged(where: str, error: Exception) -> UserError:
    return UserError(
        f"{where}: expected a whole clip record, got damaged bytes ({error}); "
        "delete the shard and make it again."
    )


def _header(record: bytes) -> tuple[dict[str, Any], int]:
    if record[:4] != MAGIC:
        raise ValueError("no record mark at its start")
    (length,) = _LENGTH.unpack_from(record, 4)
    end = 8 + length
    return json.loads(record[8:end]), end


def _array(stream: bytes, entry: dict[str, Any]) -> np.ndarray:
    raw = zlib.decompress(stream)
    if zlib.crc32(raw) != entry["crc32"]:
        raise ValueError(f"checksum of {entry['name']} does not match")
    return np.frombuffer(raw, np.dtype(entry["dtype"])).reshape(entry["shape"]).copy()


def write_shard(path: str | Path, records: Iterable[bytes]) -> int:
    """Writes a shard, whole or not at all; returns how many records it holds.

    Raises:
        UserError: the disk is full.
    """
    count = 0
    with atomic.replacing(path) as aside:
        writer = ArrayRecordWriter(str(aside), "group_size:1")
        for record in records:
            writer.write(record)
            count += 1
        _close(writer)
    return count


def _close(writer: ArrayRecordWriter) -> None:
    """Closes a writer, which tells only now, in words, that the disk is full."""
    try:
        writer.close()
    except RuntimeError as error:
        if os.strerror(errno.ENOSPC) in str(error):
            raise OSError(errno.ENOSPC, str(error)) from error
        raise


def shards(folder: str | Path) -> list[Path]:
    """The shards in a folder, by name; not those that are still being written.

    Raises:
        UserError: there is none.
    """
    found = sorted(Path(folder).glob(f"[!.]*{SUFFIX}"))
    if not found:
        raise UserError(f"{folder}: expected *{SUFFIX} shards, found none.")
    return found


def read_shard(path: str | Path) -> list[bytes]:
    """All records of one shard.

    Raises:
        UserError: the file is no ArrayRecord.
    """
    try:
        reader = ArrayRecordReader(str(path))
        records = [reader.read([i])[0] for i in range(reader.num_records())]
        reader.close()
    except (RuntimeError, ValueError, IndexError) as error:
        raise UserError(
            f"{path}: expected an ArrayRecord shard, got damaged bytes ({error}); "
            "delete it and make it again."
        ) from error
    return records


def source(
    folder: str | Path, *, first: int | None = None
) -> grain.sources.ArrayRecordDataSource:
    """The records of a folder, or of its `first` shards, in their order, for grain."""
    return grain.sources.ArrayRecordDataSource([str(p) for p in shards(folder)[:first]])
