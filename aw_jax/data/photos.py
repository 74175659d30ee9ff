"""Photos as the fit wants them: undistorted and downscaled, with pinhole cameras.

One photo is decoded at a time. Undistortion happens at the size of the file and keeps
fx, fy, cx, cy and the size; the downscale after it averages areas, and scales fx and cx
with the width, fy and cy with the height (pixel centres at +0.5). A mask goes the same
way, and a pixel counts only if nothing masked went into it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Bool, Float, UInt8
from aw_jax.core.errors import UserError
from aw_jax.data.masks import check_used, read_mask
from aw_jax.data.views import View
from aw_jax.geometry.cameras import Cameras
from aw_jax.geometry.distortion import Distortion, source_pixels, undistorted
from aw_jax.splat.targets import Targets

_FILLED = 0.999
_UNMIXED = 1e-3
_ASPECT_SLACK = 1.5


@dataclass(frozen=True, kw_only=True)
class PhotoSize:
    """The size photos are brought to, never larger than the file, and their masks.

    Set one size at most.
    """

    max_side: int | None = None
    """Longer side, in pixels."""
    short_side: int | None = None
    """Shorter side, in pixels."""
    downscale: float | None = None
    """Factor both sides are divided by."""
    use_masks: bool = True
    """Whether what a mask beside a photo blackens is ignored."""

    def __post_init__(self) -> None:
        """Refuses two sizes at once, and sizes below one pixel."""
        sizes = {k: v for k, v in vars(self).items() if k != "use_masks"}
        given = {k: v for k, v in sizes.items() if v is not None}
        if len(given) > 1:
            raise UserError(f"photo size: set only one of {', '.join(given)}.")
        for name, value in given.items():
            if not (math.isfinite(value) and value >= 1):
                raise UserError(f"photo size: {name} must be at least 1, got {value}.")

    def of(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of a photo that is `width` x `height` on disk."""
        scale = 1 / (self.downscale or 1)
        if self.max_side is not None:
            scale = min(1, self.max_side / max(width, height))
        if self.short_side is not None:
            scale = min(1, self.short_side / min(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))


FULL_SIZE = PhotoSize()


@dataclass(frozen=True, kw_only=True, eq=False)
class Photo:
    """One decoded view, free of distortion."""

    name: str
    image: Float[np.ndarray, "h w 3"]
    """float32 in [0, 1]."""
    known: Bool[np.ndarray, "h w"]
    """False where the lens saw nothing (the border's colour stands there), and where a
    mask is black."""
    masked: Bool[np.ndarray, "h w"]
    """True where a mask is black, in whole or in part."""
    intrinsics: Float[np.ndarray, "3 3"]
    """For this image's size."""
    camera_from_world: Float[np.ndarray, "4 4"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoGroup:
    """The photos of one size."""

    names: tuple[str, ...]
    """In the order of the targets' first axis."""
    targets: Targets


def load_photos(
    views: Iterable[View], size: PhotoSize = FULL_SIZE
) -> tuple[PhotoGroup, ...]:
    """The views' photos by image size; inside a group they keep the order of `views`.

    Raises:
        UserError: A photo cannot be decoded, or is not of its camera's proportions.
    """
    by_size: dict[tuple[int, ...], list[Photo]] = {}
    for view in views:
        photo = load_photo(view, size)
        by_size.setdefault(photo.image.shape, []).append(photo)
    return tuple(_group(photos) for photos in by_size.values())


def load_photo(view: View, size: PhotoSize = FULL_SIZE) -> Photo:
    """One view's photo, undistorted and then downscaled to `size`."""
    pixels = decode(view)
    height, width = pixels.shape[:2]
    intrinsics = _scaled(view.intrinsics, x=width / view.width, y=height / view.height)
    known, mask = np.ones((height, width), bool), _mask(view, size, (height, width))
    if not view.distortion.is_none:
        rows = tuple(map(tuple, intrinsics.tolist()))
        at, known = _source_pixels(rows, view.distortion, width, height)
        pixels = undistorted(pixels, at)
        mask = None if mask is None else _unmixed(mask, at)
    wanted = size.of(width, height)
    known = _filled(known, wanted)
    masked = np.zeros_like(known) if mask is None else ~_filled(mask, wanted)
    if view.mask_path is not None and mask is not None:
        check_used(known & ~masked, view.mask_path, view.image_path)
    return Photo(
        name=view.name,
        image=_averaged(pixels.astype(np.float32) / 255, wanted),
        known=known & ~masked,
        masked=masked,
        intrinsics=_scaled(intrinsics, x=wanted[0] / width, y=wanted[1] / height),
        camera_from_world=view.camera_from_world,
    )


def decode(view: View) -> UInt8[np.ndarray, "h w 3"]:
    """The file's RGB pixels as the camera took them; transparency is dropped.

    The EXIF orientation is applied, unless only the stored orientation has the
    proportions of the view's camera (tools that ignore EXIF pose photos as stored).
    """
    content = np.fromfile(view.image_path, np.uint8)
    shape = None
    for flags in (cv2.IMREAD_COLOR, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION):
        try:
            pixels = cv2.imdecode(content, flags)
        except cv2.error:
            pixels = None
        if pixels is None:
            raise UserError(
                f"{view.image_path} is damaged and cannot be decoded: replace or"
                " remove it."
            )
        shape = shape or pixels.shape
        if _is_of_proportions(view, pixels.shape):
            return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    height, width, _ = shape
    raise UserError(
        f"{view.image_path} is {width}x{height}, but its camera is for"
        f" {view.width}x{view.height}: expected the same photo or a smaller copy of it."
    )


def _is_of_proportions(view: View, shape: tuple[int, ...]) -> bool:
    height, width = shape[:2]
    return abs(width / view.width * view.height - height) <= _ASPECT_SLACK


@lru_cache(maxsize=1)  # neighbouring views mostly share their camera
def _source_pixels(
    intrinsics: tuple[tuple[float, ...], ...],
    distortion: Distortion,
    width: int,
    height: int,
) -> tuple[Float[np.ndarray, "h w 2"], Bool[np.ndarray, "h w"]]:
    return source_pixels(np.array(intrinsics), distortion, width=width, height=height)


def _scaled(
    intrinsics: Float[np.ndarray, "3 3"], *, x: float, y: float
) -> Float[np.ndarray, "3 3"]:
    """Intrinsics of the image stretched by these factors."""
    return np.diag([x, y, 1.0]) @ intrinsics


def _averaged(
    image: Float[np.ndarray, "h w *c"], size: tuple[int, int]
) -> Float[np.ndarray, "H W *c"]:
    """The image at `size` (width, height), each pixel the mean of its area."""
    if (image.shape[1], image.shape[0]) == size:
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _mask(
    view: View, size: PhotoSize, shape: tuple[int, int]
) -> Bool[np.ndarray, "h w"] | None:
    """True where the photo on disk, of this (height, width), is used; None: all."""
    if view.mask_path is None or not size.use_masks:
        return None
    return read_mask(view.mask_path, view.image_path, shape)


def _unmixed(
    mask: Bool[np.ndarray, "h w"], at: Float[np.ndarray, "h w 2"]
) -> Bool[np.ndarray, "h w"]:
    """Where the undistorted photo holds nothing of what is masked.

    Bicubic weights are also negative: any change of the mask's 1 tells of a mixture.
    """
    return np.abs(undistorted(mask.astype(np.float32), at) - 1) < _UNMIXED


def _filled(
    known: Bool[np.ndarray, "h w"], size: tuple[int, int]
) -> Bool[np.ndarray, "H W"]:
    """Which pixels of the downscaled photo average known ones alone."""
    return _averaged(known.astype(np.float32), size) > _FILLED


def _group(photos: list[Photo]) -> PhotoGroup:
    height, width = photos[0].known.shape
    known = np.stack([photo.known for photo in photos])
    masked = np.stack([photo.masked for photo in photos])
    cameras = Cameras(
        camera_from_world=_float32([photo.camera_from_world for photo in photos]),
        intrinsics=_float32([photo.intrinsics for photo in photos]),
        width=width,
        height=height,
    )
    targets = Targets(
        images=_float32([photo.image for photo in photos]),
        cameras=cameras,
        weights=None if known.all() else jnp.asarray(known, jnp.float32),
        masked=jnp.asarray(masked) if masked.any() else None,
    )
    return PhotoGroup(names=tuple(photo.name for photo in photos), targets=targets)


def _float32(arrays: list[np.ndarray]) -> Float[Array, "v ..."]:
    return jnp.asarray(np.stack(arrays), jnp.float32)
