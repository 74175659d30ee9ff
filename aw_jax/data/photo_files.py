"""Where a capture's photos lie on disk."""

from collections.abc import Iterable
from pathlib import Path

import cv2

from aw_jax.core.errors import UserError

FOLDERS = ("images", "images_2", "images_4", "images_8")
"""Full size first, then the smaller copies of Mip-NeRF 360 and DL3DV."""

_SUFFIXES = (".png", ".jpg", ".jpeg", ".JPG", ".PNG", ".webp")


def photo_folder(root: Path, wanted: str | None) -> Path:
    """The folder of photos: the one asked for, or the largest that exists.

    Raises:
        UserError: The folder asked for does not exist, or none does.
    """
    names = FOLDERS if wanted is None else (wanted,)
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise UserError(
        f"{root}: expected a folder of photos named {' or '.join(names)}; found none."
    )


def existing(path: Path) -> Path | None:
    """`path` if it is a file, else with the first known suffix that makes it one."""
    candidates = [path, *(Path(f"{path}{suffix}") for suffix in _SUFFIXES)]
    return first_file(candidates)


def first_file(candidates: Iterable[Path]) -> Path | None:
    """The first of the paths that is a file; None if none is."""
    try:
        return next((c for c in candidates if c.is_file()), None)
    except (OSError, ValueError):  # a name no file can have
        return None


def check_is_image(path: Path) -> None:
    """Refuses a file whose first bytes are no image's; decodes nothing."""
    if not cv2.haveImageReader(str(path)):
        raise UserError(f"{path} is no image (PNG, JPEG, ...): replace or remove it.")
