"""transforms.json of nerfstudio, instant-ngp and DL3DV as a scene.

Poses are camera-to-world with OpenGL axes (x right, y up, z backward). The file's
`applied_transform` needs no undoing: poses and the points of `ply_file_path` are both
stored after it, and a scene stays in the frame it came in.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.core.errors import UserError
from aw_jax.data import masks
from aw_jax.data.camera_models import check_supported, lens
from aw_jax.data.photo_files import FOLDERS, check_is_image, existing, photo_folder
from aw_jax.data.point_file import read_points
from aw_jax.data.views import Scene, View, sorted_names, warn_of_missing
from aw_jax.geometry.distortion import Distortion

_PLACES = ("transforms.json", "nerfstudio/transforms.json")
_OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
_COEFFICIENTS = ("k1", "k2", "k3", "k4", "p1", "p2")


def find_file(root: Path) -> Path | None:
    """The transforms.json of the capture at `root`; None if there is none."""
    places = [root / place for place in _PLACES]
    return next((place for place in places if place.is_file()), None)


def read_scene(file: Path, *, folder: str | None = None) -> Scene:
    """The scene that `file` describes.

    Args:
        file: A transforms.json; its paths are relative to where it lies.
        folder: The folder of photos to use instead of images/, such as images_4; by
            default the largest that exists.

    Raises:
        UserError: The file is damaged, a camera or pose is impossible, or fewer than
            three of the photos exist.
    """
    content = _parsed(file)
    frames = content.get("frames")
    if not (isinstance(frames, list) and all(isinstance(f, dict) for f in frames)):
        raise UserError(f'{file}: expected "frames", a list of objects.')
    names = _names(frames, file)
    places = [_place(file, name, folder) for name in names]
    paths = [
        (name, existing(photos / inside))
        for name, (photos, inside) in zip(names, places, strict=True)
    ]
    missing = [name for name, path in paths if path is None]
    warn_of_missing(missing, len(frames), file)
    views = [
        _view(name, path, _mask(file, photos, path, frame), {**content, **frame}, file)
        for (name, path), (photos, _), frame in zip(paths, places, frames, strict=True)
        if path is not None
    ]
    masks.warn_of_unused(file.parent, views)
    return Scene(
        path=file.parent,
        kind="transforms",
        views=tuple(sorted(views, key=lambda view: view.name.encode())),
        missing=tuple(sorted_names(missing)),
        points=read_points(file, content.get("ply_file_path")),
    )


def _parsed(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is no JSON: {error}.") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: expected an object, got {type(content).__name__}.")
    return content


def _names(frames: list[dict[str, Any]], file: Path) -> list[str]:
    """Each frame's path with forward slashes and no leading dot."""
    names = []
    for index, frame in enumerate(frames):
        path = frame.get("file_path")
        if not (isinstance(path, str) and path and path.isprintable()):
            raise UserError(
                f'{file}: frame {index}: expected "file_path", a printable string,'
                f" got {path!r}."
            )
        names.append(str(PurePosixPath(path.replace("\\", "/"))))
    return names


def _place(file: Path, name: str, folder: str | None) -> tuple[Path, str]:
    """A folder and the photo in it; images/ gives way to what is asked for or found."""
    top, _, rest = name.partition("/")
    if top in FOLDERS and rest:
        return photo_folder(file.parent, folder), rest
    return file.parent, name


def _mask(
    file: Path, photos: Path, path: Path, frame: Mapping[str, Any]
) -> Path | None:
    """The mask that the frame names, else the one beside its photo."""
    mask_path = frame.get("mask_path")
    if mask_path is None:
        return masks.beside(file.parent, photos, path)
    if not (isinstance(mask_path, str) and mask_path and mask_path.isprintable()):
        raise UserError(
            f'{file}: expected "mask_path", a printable string, got {mask_path!r}.'
        )
    return masks.named(file.parent, photos, mask_path)


def _view(
    name: str, path: Path, mask: Path | None, values: Mapping[str, Any], file: Path
) -> View:
    where = f"{file}: frame {name}"
    check_is_image(path)
    width, height = _size(values, path, where)
    intrinsics, distortion = _lens(values, width, height, where)
    return View(
        name=name,
        image_path=path,
        camera_from_world=pose_from_opengl(
            values.get("transform_matrix"), f'{where}: "transform_matrix"'
        ),
        intrinsics=intrinsics,
        distortion=distortion,
        width=width,
        height=height,
        mask_path=mask,
    )


def _size(values: Mapping[str, Any], path: Path, where: str) -> tuple[int, int]:
    """The stored size, else that of the photo (which is decoded for it)."""
    if "w" in values and "h" in values:
        return round(_number(values, "w", where)), round(_number(values, "h", where))
    photo = cv2.imread(str(path))
    if photo is None:
        raise UserError(f"{path} cannot be decoded: replace or remove it.")
    return photo.shape[1], photo.shape[0]


def _lens(
    values: Mapping[str, Any], width: int, height: int, where: str
) -> tuple[Float[np.ndarray, "3 3"], Distortion]:
    """The camera from fl_x, ..., or from the field of view alone."""
    model = values.get("camera_model", "OPENCV")
    check_supported(str(model), where)
    named = {k: _number(values, k, where) for k in _COEFFICIENTS if k in values}
    named["fx"] = _focal(values, "x", width, where)
    own_y = "fl_y" in values or ("fl_x" not in values and "camera_angle_y" in values)
    named["fy"] = _focal(values, "y", height, where) if own_y else named["fx"]
    named["cx"] = _number(values, "cx", where) if "cx" in values else width / 2
    named["cy"] = _number(values, "cy", where) if "cy" in values else height / 2
    fisheye = model == "OPENCV_FISHEYE" or values.get("is_fisheye") is True
    return lens(named, fisheye=fisheye)


def _focal(values: Mapping[str, Any], axis: str, side: int, where: str) -> float:
    """fl_x or fl_y in pixels, or what camera_angle_x or _y (radians) comes to."""
    if f"fl_{axis}" in values:
        return _number(values, f"fl_{axis}", where)
    if f"camera_angle_{axis}" not in values:
        raise UserError(f'{where}: expected "fl_{axis}" or "camera_angle_{axis}".')
    angle = _number(values, f"camera_angle_{axis}", where)
    if not 0 < angle < math.pi:
        raise UserError(
            f'{where}: expected "camera_angle_{axis}" between 0 and pi, got {angle}.'
        )
    return side / 2 / math.tan(angle / 2)


def _number(values: Mapping[str, Any], key: str, where: str) -> float:
    value = values[key]
    finite = not isinstance(value, bool) and isinstance(value, int | float)
    if not (finite and abs(value) < 1e300):
        raise UserError(f'{where}: expected "{key}" to be a number, got {value!r}.')
    return float(value)


def pose_from_opengl(matrix: Any, where: str) -> Float[np.ndarray, "4 4"]:
    """camera_from_world (OpenCV) from a 4x4 or 3x4 world-from-camera (OpenGL)."""
    try:
        world_from_camera = np.array(matrix, np.float64)
    except (TypeError, ValueError, OverflowError):
        world_from_camera = np.empty(0)
    if world_from_camera.shape not in ((4, 4), (3, 4)):
        raise UserError(f"{where}: expected 4 rows of 4 numbers.")
    if not np.all(np.abs(world_from_camera) < 1e9):
        raise UserError(
            f"{where} holds a value that is no finite number below 1e9; remove the"
            " frame or repair its pose."
        )
    rotation = _OPENCV_FROM_OPENGL[:3, :3] @ world_from_camera[:3, :3].T
    camera_from_world = np.eye(4)
    camera_from_world[:3, :3] = rotation
    camera_from_world[:3, 3] = -rotation @ world_from_camera[:3, 3]
    return camera_from_world
