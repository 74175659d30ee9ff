"""Photos as this project fits them, in a folder that other trainers read.

    images/STEM.png       undistorted, downscaled, 8 bits, without loss
    masks/STEM.png        black where a pixel does not count; only where there is one.
                          In a fit: masked, or outside the lens. In figures: masked
    sparse/0/*.bin        COLMAP: a PINHOLE camera a photo, its pose, the points

STEM is the photo's path with `_` for `/` and without its suffix: flat, for some readers
look for file names alone. Points have no tracks: nobody is said to see them.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pycolmap

from aw_jax.core.errors import UserError
from aw_jax.data.colmap_views import add_view
from aw_jax.data.initial_points import InitialPoints
from aw_jax.data.photos import PhotoSize, load_photo
from aw_jax.data.views import View, file_stem
from aw_jax.images.quantise import quantise
from aw_jax.media import images


def write_colmap(
    folder: Path,
    views: Sequence[View],
    size: PhotoSize,
    points: InitialPoints,
    *,
    measured: bool = False,
) -> None:
    """Writes the views' photos and cameras, and the points, into `folder`.

    Args:
        folder: where to; it is made.
        views: in the order of their ids.
        size: of the photos.
        points: what a fit starts from.
        measured: masks are those of figures; else those of a fit.

    Raises:
        UserError: two photos would have one name, or one cannot be read.
    """
    _check_stems(view.name for view in views)
    model = pycolmap.Reconstruction()
    for index, view in enumerate(views, start=1):
        photo = load_photo(view, size)
        name = f"{file_stem(view.name)}.png"
        images.write(
            folder / "images" / name, np.asarray(quantise(jnp.asarray(photo.image)))
        )
        counts = ~photo.masked if measured else photo.known
        if not counts.all():
            mask = np.uint8(255) * counts[..., None].repeat(3, axis=-1)
            images.write(folder / "masks" / name, mask)
        height, width = photo.known.shape
        add_view(
            model,
            index,
            name=name,
            intrinsics=photo.intrinsics,
            camera_from_world=photo.camera_from_world,
            size=(width, height),
        )
    colors = np.asarray(quantise(jnp.asarray(points.colors)[None])[0])
    for position, color in zip(points.points, colors, strict=True):
        model.add_point3D(position.astype(np.float64), pycolmap.Track(), color)
    (folder / "sparse/0").mkdir(parents=True, exist_ok=True)
    model.write_binary(str(folder / "sparse/0"))


def _check_stems(names: Iterable[str]) -> None:
    """Refuses photos that would be written to one file."""
    taken: dict[str, str] = {}
    for name in names:
        other = taken.setdefault(file_stem(name), name)
        if other != name:
            raise UserError(
                f"the photos {other} and {name} would both become"
                f" {file_stem(name)}.png: rename one of them."
            )
