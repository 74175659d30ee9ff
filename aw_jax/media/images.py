"""Image files: 8-bit RGB, rows first."""

from pathlib import Path

import cv2
import numpy as np

from aw_jax.core import atomic
from aw_jax.core.arrays import UInt8
from aw_jax.core.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def read(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """The picture in `path`, turned as its EXIF data says; gray becomes RGB.

    Raises:
        UserError: there is no such file, or it is no image.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise UserError(f"{path} is no image (PNG, JPEG, ...): replace or remove it.")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def write(path: Path, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Writes `image` in the format its suffix names, atomically."""
    atomic.write_bytes(path, encode(image, path.suffix))


def encode(
    image: UInt8[np.ndarray, "h w 3"], suffix: str, *, quality: int = 95
) -> bytes:
    """The bytes of a file with `suffix`; `quality` is of JPEG and WebP.

    Raises:
        UserError: the suffix names no format we write.
    """
    options = {
        ".png": [],
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, quality],
        ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, quality],
        ".webp": [cv2.IMWRITE_WEBP_QUALITY, quality],
    }
    if suffix.lower() not in options:
        raise UserError(
            f"image suffix: expected one of {', '.join(options)}, got {suffix!r}."
        )
    picture = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(suffix, picture, options[suffix.lower()])[1].tobytes()
