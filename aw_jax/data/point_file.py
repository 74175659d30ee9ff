"""The .ply of points that a transforms.json may name."""

from pathlib import Path
from typing import Any

import numpy as np
import plyfile

from aw_jax.core.errors import UserError
from aw_jax.data.views import PointCloud


def read_points(file: Path, ply_file_path: Any) -> PointCloud | None:
    """The points named in `file`, grey where the .ply has no colors.

    None if no file is named, or the one named is not there.
    """
    if ply_file_path is None:
        return None
    if not isinstance(ply_file_path, str):
        raise UserError(f'{file}: expected "ply_file_path" to be a string.')
    path = file.parent / ply_file_path
    if not path.is_file():
        return None
    try:
        vertices = plyfile.PlyData.read(str(path))["vertex"].data
        positions = np.stack([vertices[axis] for axis in "xyz"], axis=-1)
    except (plyfile.PlyParseError, KeyError, ValueError, MemoryError) as error:
        raise UserError(f"{path} is no .ply of points: {error}.") from None
    return PointCloud(positions=positions.astype(np.float64), colors=_colors(vertices))


def _colors(vertices: np.ndarray) -> np.ndarray:
    names = ("red", "green", "blue")
    if not set(names) <= set(vertices.dtype.names or ()):
        return np.full((len(vertices), 3), 128, np.uint8)
    return np.stack([vertices[name] for name in names], axis=-1).astype(np.uint8)
