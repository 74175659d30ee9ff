"""Masks beside photos: white (not 0) is used, black is ignored.

    masks/NAME.png     COLMAP: the photo's whole name and .png (a.jpg.png)
    masks/STEM.png     the same without the photo's suffix (a.png)
    "mask_path"        nerfstudio: what a frame of transforms.json names

Beside photos in images_4 the masks of their size, in masks_4, come first. A photo
without a mask is used whole.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from absl import logging

from aw_jax.core.arrays import Bool
from aw_jax.core.errors import UserError
from aw_jax.data.photo_files import first_file
from aw_jax.data.views import View

FOLDER = "masks"

_AS_STORED = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def folders(root: Path, photos: Path) -> tuple[Path, Path]:
    """Where the masks of the photos in `photos` may lie, those of their size first."""
    return root / f"{FOLDER}{photos.name.removeprefix('images')}", root / FOLDER


def beside(root: Path, photos: Path, photo: Path) -> Path | None:
    """The mask of `photo`, a file under `photos`, by its name; None if it has none."""
    if not photo.is_relative_to(photos) or ".." in photo.parts:
        return None
    name = photo.relative_to(photos)
    names = (f"{name}.png", name.with_suffix(".png"))
    return first_file(folder / n for folder in folders(root, photos) for n in names)


def named(root: Path, photos: Path, mask_path: str) -> Path:
    """The mask that a frame names, or its smaller copy beside smaller photos."""
    top, _, rest = mask_path.replace("\\", "/").removeprefix("./").partition("/")
    whole, smaller = root / mask_path, folders(root, photos)[0] / rest
    return (first_file([smaller]) if top == FOLDER else None) or whole


def warn_of_unused(root: Path, views: Sequence[View]) -> None:
    """One warning where a folder of masks fits none of the photos."""
    if (root / FOLDER).is_dir() and all(view.mask_path is None for view in views):
        logging.warning(
            "%s holds no mask for any photo and is not used: expected names like %s.",
            *(root / FOLDER, f"{views[0].image_path.name}.png"),
        )


def read_mask(
    path: Path, photo: Path, shape: tuple[int, int]
) -> Bool[np.ndarray, "h w"]:
    """True where the photo, of this (height, width), is used.

    Raises:
        UserError: no such file, no image, one of another size, or nothing to use.
    """
    try:
        mask = cv2.imdecode(np.fromfile(path, np.uint8), _AS_STORED)
    except (OSError, ValueError, cv2.error):
        mask = None
    if mask is None:
        raise UserError(
            f"{path}, the mask of {photo.name}, is missing or no image: write it as"
            " PNG, or set photos.use_masks=false."
        )
    if mask.shape != shape:
        raise UserError(
            f"{path}: expected {shape[1]}x{shape[0]} as its photo {photo.name}, got"
            f" {mask.shape[1]}x{mask.shape[0]}; resize the mask, or set"
            " photos.use_masks=false."
        )
    check_used(mask > 0, path, photo)
    return mask > 0


def check_used(used: Bool[np.ndarray, "h w"], path: Path, photo: Path) -> None:
    """Refuses a mask that leaves nothing of its photo."""
    if not used.any():
        raise UserError(
            f"{path}: expected some white (use) in the mask of {photo.name}, got a mask"
            f" that ignores all of it at {used.shape[1]}x{used.shape[0]}; remove the"
            " photo, or invert the mask if black was meant to be used."
        )
