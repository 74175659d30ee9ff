"""Camera paths as JSON: one image size, one pose and one intrinsic matrix a frame.

{"width": w, "height": h,
 "cameras": [{"camera_from_world": 4 x 4, "intrinsics": 3 x 3}, ...]}
"""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from aw_jax.core import atomic
from aw_jax.core.errors import UserError
from aw_jax.geometry.cameras import Cameras

FIELDS = {"camera_from_world": (4, 4), "intrinsics": (3, 3)}


def write_cameras(path: Path, cameras: Cameras) -> None:
    """Writes (v,) cameras."""
    stacks = [np.asarray(getattr(cameras, name), np.float64) for name in FIELDS]
    frames = [
        {name: matrix.tolist() for name, matrix in zip(FIELDS, row, strict=True)}
        for row in zip(*stacks, strict=True)
    ]
    size = {"width": cameras.width, "height": cameras.height}
    atomic.write_json(path, size | {"cameras": frames})


def read_cameras(path: Path) -> Cameras:
    """The (v,) cameras of a file.

    Raises:
        UserError: no JSON, a missing field, or a matrix of another shape.
    """
    try:
        data = json.loads(path.read_text())
        size = {name: int(data[name]) for name in ("width", "height")}
        rows = data["cameras"]
        stacks = {name: _stack(path, rows, name) for name in FIELDS}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: expected JSON with width, height and cameras of "
            f"{' and '.join(FIELDS)}; {type(error).__name__}: {error}."
        ) from error
    return Cameras(
        camera_from_world=jnp.asarray(stacks["camera_from_world"]),
        intrinsics=jnp.asarray(stacks["intrinsics"]),
        **size,
    )


def _stack(path: Path, rows: list[dict[str, Any]], name: str) -> np.ndarray:
    matrices = []
    for index, row in enumerate(rows):
        matrix = np.asarray(row[name], np.float32)
        if matrix.shape != FIELDS[name] or not np.isfinite(matrix).all():
            raise UserError(
                f"{path}: cameras[{index}].{name}: expected {FIELDS[name]} finite "
                f"numbers, got shape {matrix.shape}."
            )
        matrices.append(matrix)
    if not matrices:
        raise UserError(f"{path}: expected at least one camera, got none.")
    return np.stack(matrices)
