"""The elements of a .ply file whose size agrees with its header.

plyfile does the reading; what it would crash on, hang on or allocate for is refused
here first, and whatever it raises becomes one line.
"""

import re
from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyParseError

from aw_jax.core.errors import UserError

HEADER_LIMIT = 1 << 16
ELEMENT = re.compile(rb"^[ \t]*element[ \t]+\S+[ \t]+(\d{1,18})\b", re.MULTILINE)
PROPERTY = re.compile(rb"^[ \t]*property[ \t]", re.MULTILINE)


def read_elements(path: Path) -> dict[str, np.ndarray]:
    """Each element's rows as a structured array; there is a `vertex` among them.

    Raises:
        UserError: `path` is no whole .ply, or it has lists, as meshes do.
    """
    text = b"format ascii" in read_header(path)
    try:
        with path.open(encoding="ascii") if text else path.open("rb") as file:
            data = PlyData.read(file)
            end = None if text else file.tell()
    except PlyParseError as error:
        raise UserError(f"{path}: damaged or cut short ({error}).") from None
    except Exception as error:  # any other way in which the library meets bad bytes
        reason = " ".join(f"{type(error).__name__} {error}".split())
        raise UserError(f"{path}: not a readable .ply file ({reason}).") from None
    if "vertex" not in data:
        raise UserError(f"{path}: expected an element 'vertex', got none; not a splat.")
    _check_end(path, data, end)
    return {element.name: element.data for element in data}


def read_header(path: Path) -> bytes:
    """The header's lines; refuses what the library would read byte by byte."""
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_LIMIT)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    header, end, _ = head.partition(b"end_header")
    if not head.startswith(b"ply") or not end:
        raise UserError(
            f"{path}: expected a .ply file, which begins with 'ply' and has an "
            "'end_header' line; check the path."
        )
    if re.search(rb"property\s+list", header):
        raise UserError(f"{path}: expected a splat, got a mesh ('property list').")
    if re.search(rb"element\s+\S+\s+[+-]", header):
        raise UserError(f"{path}: expected counts of digits, got a signed 'element'.")
    _check_room(path, header)
    return header


def _check_room(path: Path, header: bytes) -> None:
    """Refuses more rows than there are bytes, before anything is made for them."""
    _, *parts = ELEMENT.split(header)
    size = path.stat().st_size
    for count, properties in zip(parts[::2], parts[1::2], strict=True):
        # A value takes a byte or more, in ASCII with the space or line end after it.
        each = (1 + (b"format ascii" in header)) * len(PROPERTY.findall(properties))
        if int(count) * max(each, 1) > size + 1:
            raise UserError(
                f"{path}: cut short or a wrong count: its header announces "
                f"{int(count)} rows, but the file has {size} bytes; copy it again."
            )


def _check_end(path: Path, data: PlyData, end: int | None) -> None:
    """Refuses data beyond what the header announces: one of the two is wrong."""
    if end is None:
        surplus, unit = _data_lines(path) - sum(e.count for e in data), "lines"
    else:
        surplus, unit = path.stat().st_size - end, "bytes"
    if surplus:
        raise UserError(
            f"{path}: expected {data['vertex'].count} rows as its header says, got "
            f"{surplus} {unit} more; the count or a property is wrong, copy it again."
        )


def _data_lines(path: Path) -> int:
    with path.open(encoding="ascii") as file:
        for line in file:
            if line.strip() == "end_header":
                break
        return sum(1 for line in file if line.strip())
