"""What holds the bytes of an .spz file: one gzip stream, or, from version 4, a table.

Versions 2 and 3 are a gzip stream of 16 bytes of header and then each attribute of all
Gaussians in turn. Version 4 has 32 bytes of header and a table of sizes in the open,
then each attribute as a zstd frame. Nothing is made for what a header only announces:
bytes are decompressed up to the announced size and never beyond.
"""

import gzip
import io
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zstandard
from absl import logging

from aw_jax.core import atomic
from aw_jax.core.arrays import UInt8
from aw_jax.core.errors import UserError

GZIP, OPEN = b"\x1f\x8b", b"NGSP"
HEADER = struct.Struct("<4sIIBBBB")
TABLE_START = struct.Struct("<I12x")
SIZES = struct.Struct("<QQ")
EXTENDED = 2
"""The flag of a file with vendors' records, which are not read."""
LARGEST_WINDOW = 1 << 25
PIECE = 1 << 20


class Header(NamedTuple):
    """The fields at the start of an .spz file."""

    version: int
    count: int
    degree: int
    fractional_bits: int
    flags: int = 0
    streams: int = 0

    def widths(self) -> dict[str, int]:
        """Bytes a Gaussian of each attribute, in the order of the file."""
        return {
            "positions": 9,
            "opacities": 1,
            "colors": 3,
            "scales": 3,
            "rotations": 3 if self.version == 2 else 4,
            "harmonics": 3 * ((self.degree + 1) ** 2 - 1),
        }


Attributes = dict[str, UInt8[np.ndarray, "_ _"]]


def write(path: Path, header: Header, attributes: Attributes) -> None:
    """Writes version 2 or 3, the same bytes for the same content."""
    parts = [HEADER.pack(OPEN, *header)]
    parts += [attributes[name].tobytes() for name in header.widths()]
    atomic.write_bytes(path, gzip.compress(b"".join(parts), compresslevel=6, mtime=0))


def read(path: Path) -> tuple[Header, Attributes]:
    """The header of `path` and its attributes, a row of bytes for each Gaussian.

    Raises:
        UserError: `path` is no whole .spz of version 2, 3 or 4.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    try:
        header, body = (_read_open if data.startswith(OPEN) else _read_gzip)(data)
    except (ValueError, struct.error, zlib.error, zstandard.ZstdError) as error:
        raise UserError(
            f"{path}: damaged or no .spz of version 2 to 4 ({error}); copy it again."
        ) from None
    if header.flags & EXTENDED:
        logging.warning("%s: its extensions are not read.", path)
    ends = np.cumsum([header.count * width for width in header.widths().values()])
    parts = np.split(np.frombuffer(body, np.uint8), ends[:-1])
    shapes = [(header.count, width) for width in header.widths().values()]
    rows = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    return header, dict(zip(header.widths(), rows, strict=True))


def _read_gzip(data: bytes) -> tuple[Header, bytes]:
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    header = _header(stream.decompress(data, HEADER.size), (2, 3))
    size = header.count * sum(header.widths().values())
    body = stream.decompress(stream.unconsumed_tail, size + 1)
    if len(body) < size or not header.flags & EXTENDED:
        _check_size("data", len(body), size)
    while not stream.eof:
        if not stream.unconsumed_tail:
            raise ValueError("the gzip stream is cut short")
        stream.decompress(stream.unconsumed_tail, PIECE)
    if stream.unused_data:
        raise ValueError(f"{len(stream.unused_data)} bytes after its end")
    return header, body[:size]


def _read_open(data: bytes) -> tuple[Header, bytes]:
    header = _header(data, (4,))
    widths = [width for width in header.widths().values() if width]
    if header.streams != len(widths):
        raise ValueError(f"expected {len(widths)} streams, got {header.streams}")
    (table,) = TABLE_START.unpack_from(data, HEADER.size)
    start = table + SIZES.size * len(widths)
    body = []
    for index, width in enumerate(widths):
        packed, size = SIZES.unpack_from(data, table + SIZES.size * index)
        _check_size(f"stream {index}", size, width * header.count)
        body.append(_zstd(data[start : start + packed], size))
        start += packed
    _check_size("the file", len(data), start)
    return header, b"".join(body)


def _header(data: bytes, versions: tuple[int, ...]) -> Header:
    magic, *fields = HEADER.unpack_from(data)
    header = Header(*fields)
    if magic != OPEN:
        raise ValueError(f"expected it to begin with {OPEN}, got {magic}")
    if header.version not in versions:
        raise ValueError(f"its version is {header.version}")
    if header.degree > 4:
        raise ValueError(f"expected harmonics of degree 0 to 4, got {header.degree}")
    if header.fractional_bits > 24:
        raise ValueError(f"expected 0 to 24 bits, got {header.fractional_bits}")
    return header


def _zstd(data: bytes, size: int) -> bytes:
    reader = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
    with reader.stream_reader(io.BytesIO(data)) as stream:
        whole = bytearray()
        while len(whole) <= size and (piece := stream.read(PIECE)):
            whole += piece
    _check_size("a zstd frame", len(whole), size)
    return bytes(whole)


def _check_size(what: str, found: int, wanted: int) -> None:
    if found != wanted:
        more = "or more " if found > wanted else ""
        raise ValueError(f"{what}: expected {wanted} bytes, got {found} {more}".strip())
