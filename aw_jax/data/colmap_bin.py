"""COLMAP's binary files: little-endian records behind a count.

Every read is checked against the file's size before anything is allocated, so that a
truncated file or a count that lies is told in one line.
"""

import struct
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

_CAMERA = "<iiQQ"  # id, model, width, height
_IMAGE = "<i4d3di"  # id, quaternion, translation, camera id
_POINT = "<Q3d3BdQ"  # id, position, color, error, length of its track
_SEEN_IN_IMAGE = struct.calcsize("<ddq")  # x, y, point id
_TRACK_ENTRY = struct.calcsize("<ii")  # image id, index in that image


class Cursor:
    """A position in a file that cannot be read past its end."""

    def __init__(self, path: Path) -> None:
        """Opens `path` at its first byte."""
        self.path = path
        self.data = path.read_bytes()
        self.at = 0

    def take(self, form: str) -> tuple:
        """The next values of this `struct` form."""
        start = self.skip(struct.calcsize(form))
        return struct.unpack_from(form, self.data, start)

    def skip(self, size: int) -> int:
        """Passes over `size` bytes; returns where they began."""
        start = self.at
        if size > len(self.data) - start:
            raise UserError(
                f"{self.path} is truncated or damaged: expected {size} bytes at"
                f" position {start}, got {len(self.data) - start}."
            )
        self.at = start + size
        return start

    def count(self, smallest: int) -> int:
        """A count of records of at least `smallest` bytes, which must fit the file."""
        (count,) = self.take("<Q")
        if count * smallest > len(self.data) - self.at:
            raise UserError(
                f"{self.path} is truncated or damaged: expected {count} records of at"
                f" least {smallest} bytes, got {len(self.data) - self.at} bytes."
            )
        return count

    def text(self) -> str:
        """A string up to its zero byte."""
        end = self.data.find(b"\0", self.at)
        raw = self.data[self.at : end]
        try:
            if end < 0:
                raise ValueError
            name = raw.decode()
        except ValueError:
            raise UserError(
                f"{self.path} is truncated or damaged: expected an image name in UTF-8"
                f" at position {self.at}."
            ) from None
        self.at = end + 1
        return name

    def finish(self) -> None:
        """Refuses bytes after the last record."""
        if self.at != len(self.data):
            raise UserError(
                f"{self.path} is damaged: expected its end at byte {self.at}, got"
                f" {len(self.data) - self.at} more bytes."
            )


def read_cameras(path: Path) -> dict[int, ColmapCamera]:
    """Cameras by id."""
    cursor = Cursor(path)
    cameras = [_camera(cursor) for _ in range(cursor.count(struct.calcsize(_CAMERA)))]
    cursor.finish()
    check_unique([camera_id for camera_id, _ in cameras], "camera", path)
    return dict(cameras)


def read_images(path: Path) -> list[ColmapImage]:
    """Registered images, in the file's order; their 2D points are passed over."""
    cursor = Cursor(path)
    smallest = struct.calcsize(_IMAGE) + 1 + 8
    images = [_image(cursor) for _ in range(cursor.count(smallest))]
    cursor.finish()
    check_unique([image.image_id for image in images], "image", path)
    return images


def read_points(path: Path) -> ColmapPoints:
    """Points and their tracks."""
    cursor = Cursor(path)
    count = cursor.count(struct.calcsize(_POINT))
    positions, colors = np.empty((count, 3)), np.empty((count, 3), np.uint8)
    tracks = []
    for index in range(count):
        _, *values, _, length = cursor.take(_POINT)
        positions[index], colors[index] = values[:3], values[3:]
        start = cursor.skip(_TRACK_ENTRY * length)
        tracks.append(np.frombuffer(cursor.data, "<i4", 2 * length, start)[::2])
    cursor.finish()
    lengths = [len(track) for track in tracks]
    return ColmapPoints(
        positions=positions,
        colors=colors,
        observed_point=np.repeat(np.arange(count), lengths),
        observed_image=np.concatenate([np.empty(0, np.int64), *tracks]),
    )


def _camera(cursor: Cursor) -> tuple[int, ColmapCamera]:
    camera_id, model, width, height = cursor.take(_CAMERA)
    where = f"{cursor.path}: camera {camera_id}"
    check_supported(model, where)
    name, parameters = list(PARAMETERS.items())[model]
    values = cursor.take(f"<{len(parameters)}d")
    intrinsics, distortion = lens(
        dict(zip(parameters, values, strict=True)), fisheye=name == "OPENCV_FISHEYE"
    )
    return camera_id, ColmapCamera(
        width=width, height=height, intrinsics=intrinsics, distortion=distortion
    )


def _image(cursor: Cursor) -> ColmapImage:
    image_id, *motion, camera_id = cursor.take(_IMAGE)
    name = cursor.text()
    cursor.skip(_SEEN_IN_IMAGE * cursor.take("<Q")[0])
    where = f"{cursor.path}: image {name}"
    return ColmapImage(
        image_id=image_id,
        name=name,
        camera_id=camera_id,
        camera_from_world=pose(np.array(motion[:4]), np.array(motion[4:]), where),
    )
