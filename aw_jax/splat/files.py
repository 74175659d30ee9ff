"""Splat files of every kind: read by what they hold, written by their suffix.

    .ply             Inria's layout, bit for bit (`ply`); gsplat's and nerfstudio's, too
    compressed .ply  SuperSplat's and splat-transform's, read only (`packed_ply`)
    .spz             Niantic's (`spz`)
    .splat           antimatter15's (`dot_splat`)

The module in brackets says how the format is laid out and what it loses.
"""

import os
from collections.abc import Callable
from pathlib import Path

from aw_jax.core.errors import UserError
from aw_jax.splat import spz_container
from aw_jax.splat.dot_splat import load_dot_splat, save_dot_splat
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.packed_ply import load_packed_ply
from aw_jax.splat.ply import load_ply, save_ply
from aw_jax.splat.ply_elements import read_header
from aw_jax.splat.spz import load_spz, save_spz


def load_splat(path: str | os.PathLike[str]) -> Splat:
    """The splat in `path`, whichever format it has; .splat alone goes by its name.

    Raises:
        UserError: `path` is no whole splat of finite numbers; says what is wrong.
    """
    path = Path(path)
    head = _head(path)
    if head.startswith(b"ply"):
        packed = b"packed_position" in read_header(path)
        return load_packed_ply(path) if packed else load_ply(path)
    if head.startswith((spz_container.GZIP, spz_container.OPEN)):
        return load_spz(path)
    if path.suffix.lower() == ".splat":
        return load_dot_splat(path)
    raise UserError(
        f"{path}: expected a splat, .ply, .spz or .splat, but it begins with "
        f"{head[:4]}, like none of them; check the path."
    )


def save_splat(path: str | os.PathLike[str], splat: Splat) -> None:
    """Writes `splat` in the format that the suffix of `path` names.

    Raises:
        UserError: no format has that suffix, or the format cannot hold the splat.
    """
    writer(path)(Path(path), splat)


def writer(path: str | os.PathLike[str]) -> Callable[[Path, Splat], None]:
    """What writes the format that the suffix of `path` names.

    Raises:
        UserError: no format has that suffix.
    """
    name = Path(path).name.lower()
    if name.endswith(".compressed.ply"):
        raise UserError(f"{path}: compressed .ply is read only; write .spz instead.")
    match Path(name).suffix:
        case ".ply":
            return save_ply
        case ".spz":
            return save_spz
        case ".splat":
            return save_dot_splat
        case other:
            raise UserError(
                f"{path}: expected a name that ends with .ply, .spz or .splat, got "
                f"{other or 'no suffix'!r}; name the format so."
            )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
