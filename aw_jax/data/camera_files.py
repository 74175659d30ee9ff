"""Camera paths as JSON: our own, and those of nerfstudio's viewer.

Ours: one image size, one pose (OpenCV) and one intrinsic matrix a frame.

    {"width": w, "height": h,
     "cameras": [{"camera_from_world": 4 x 4, "intrinsics": 3 x 3}, ...]}

nerfstudio's: one image size, one pose (OpenGL) and one vertical field of view in
degrees a frame; pixels are square, so that `aspect` says nothing new.

    {"render_width": w, "render_height": h, "camera_type": "perspective",
     "camera_path": [{"camera_to_world": 16 numbers, "fov": degrees}, ...]}

Its poses are in the frame of the splat that its viewer showed.
"""

import json
import math
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from aw_jax.core import atomic
from aw_jax.core.errors import UserError
from aw_jax.data.camera_models import check_intrinsics
from aw_jax.data.transforms import pose_from_opengl
from aw_jax.data.views import check_rigid
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
        if isinstance(data, dict) and "camera_path" in data:
            return _nerfstudio(path, data)
        return _ours(path, data)
    except (OSError, ArithmeticError, LookupError, ValueError, TypeError) as error:
        raise UserError(
            f"{path}: expected JSON with width, height and cameras of "
            f"{' and '.join(FIELDS)}, or a camera path of nerfstudio; "
            f"{type(error).__name__}: {error}."
        ) from error


def _ours(path: Path, data: dict[str, Any]) -> Cameras:
    rows = data["cameras"]
    stacks = {name: _stack(path, rows, name) for name in FIELDS}
    return Cameras(
        camera_from_world=jnp.asarray(stacks["camera_from_world"]),
        intrinsics=jnp.asarray(stacks["intrinsics"]),
        width=int(data["width"]),
        height=int(data["height"]),
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
    _check_any(path, matrices)
    return np.stack(matrices)


def _nerfstudio(path: Path, data: dict[str, Any]) -> Cameras:
    kind = data.get("camera_type", "perspective")
    if kind != "perspective":
        raise UserError(
            f"{path}: expected a path of perspective cameras, got {kind!r}; choose"
            " Perspective in nerfstudio's viewer and save the path again."
        )
    width, height = int(data["render_width"]), int(data["render_height"])
    poses, lenses = [], []
    for index, row in enumerate(data["camera_path"]):
        where = f"{path}: camera_path[{index}]"
        matrix = np.asarray(row["camera_to_world"], np.float64).reshape(4, 4)
        poses.append(pose_from_opengl(matrix, f"{where}.camera_to_world"))
        check_rigid(poses[-1], where)
        focal = _focal(float(row["fov"]), height, where)
        lenses.append(
            np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        )
        check_intrinsics(lenses[-1], width, height, where)
    _check_any(path, poses)
    return Cameras(
        camera_from_world=jnp.asarray(np.stack(poses), jnp.float32),
        intrinsics=jnp.asarray(np.stack(lenses), jnp.float32),
        width=width,
        height=height,
    )


def _focal(fov: float, height: int, where: str) -> float:
    """Pixels, of a vertical field of view in degrees."""
    if not 0 < fov < 180:
        raise UserError(f"{where}.fov: expected degrees in (0, 180), got {fov}.")
    return height / 2 / math.tan(math.radians(fov) / 2)


def _check_any(path: Path, cameras: list[np.ndarray]) -> None:
    if not cameras:
        raise UserError(f"{path}: expected at least one camera, got none.")
