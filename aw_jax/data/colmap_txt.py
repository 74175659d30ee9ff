"""COLMAP's text files: one record a line (two for an image), `#` starts a comment."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aw_jax.core.errors import UserError
from aw_jax.data.camera_models import PARAMETERS, check_supported, lens
from aw_jax.data.colmap_model import (
    ColmapCamera,
    ColmapImage,
    ColmapPoints,
    check_unique,
    pose,
)


def read_cameras(path: Path) -> dict[int, ColmapCamera]:
    """Cameras by id. A line is: id, model, width, height, parameters."""
    cameras = []
    for where, words in _records(path, fewest=4):
        check_supported(words[1], where)
        names = PARAMETERS[words[1]]
        values = _floats(words[4:], len(names), where)
        intrinsics, distortion = lens(
            dict(zip(names, values, strict=True)),
            fisheye=words[1] == "OPENCV_FISHEYE",
        )
        camera_id, width, height = _integers([words[0], *words[2:4]], where)
        camera = ColmapCamera(
            width=width, height=height, intrinsics=intrinsics, distortion=distortion
        )
        cameras.append((camera_id, camera))
    check_unique([camera_id for camera_id, _ in cameras], "camera", path)
    return dict(cameras)


def read_images(path: Path) -> list[ColmapImage]:
    """Registered images; the second line of each, its 2D points, is passed over.

    A first line is: id, quaternion (4), translation (3), camera id, name.
    """
    images = []
    lines = _lines(path)
    for where, line in lines:
        if not line:
            continue
        words = _enough(line.split(maxsplit=9), 10, where)
        image_id, camera_id = _integers([words[0], words[8]], where)
        motion = np.array(_floats(words[1:8], 7, where))
        images.append(
            ColmapImage(
                image_id=image_id,
                name=words[9],
                camera_id=camera_id,
                camera_from_world=pose(motion[:4], motion[4:], where),
            )
        )
        next(lines, None)
    check_unique([image.image_id for image in images], "image", path)
    return images


def read_points(path: Path) -> ColmapPoints:
    """Points and their tracks.

    A line is: id, position (3), color (3), error, then (image id, index) pairs.
    """
    positions, colors, tracks = [], [], []
    for where, words in _records(path, fewest=8):
        positions.append(_floats(words[1:4], 3, where))
        colors.append(_integers(words[4:7], where))
        tracks.append(_integers(words[8::2], where))
    if not all(0 <= value < 256 for color in colors for value in color):
        raise UserError(f"{path}: a color is outside 0 to 255; the file is damaged.")
    lengths = [len(track) for track in tracks]
    return ColmapPoints(
        positions=np.array(positions, np.float64).reshape(-1, 3),
        colors=np.array(colors, np.uint8).reshape(-1, 3),
        observed_point=np.repeat(np.arange(len(tracks)), lengths),
        observed_image=np.array([i for track in tracks for i in track], np.int64),
    )


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Lines that are no comment, blank ones too, each with its place for a message."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is no UTF-8 text: export the model again.") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.startswith("#"):
            yield f"{path}: line {number}", line.strip()


def _records(path: Path, *, fewest: int) -> Iterator[tuple[str, list[str]]]:
    """The words of each line that holds any."""
    for where, line in _lines(path):
        if line:
            yield where, _enough(line.split(), fewest, where)


def _enough(words: list[str], fewest: int, where: str) -> list[str]:
    if len(words) < fewest:
        raise UserError(f"{where}: expected {fewest} values, got {len(words)}.")
    return words


def _floats(words: list[str], count: int, where: str) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError:
        raise UserError(f"{where}: expected numbers, got {' '.join(words)}.") from None
    if len(values) != count:
        raise UserError(f"{where}: expected {count} numbers, got {len(values)}.")
    return values


def _integers(words: list[str], where: str) -> list[int]:
    try:
        values = [int(word) for word in words]
    except ValueError:
        raise UserError(f"{where}: expected integers, got {' '.join(words)}.") from None
    if not all(abs(value) < 2**62 for value in values):
        raise UserError(f"{where}: an integer is too large: {' '.join(words)}.")
    return values
