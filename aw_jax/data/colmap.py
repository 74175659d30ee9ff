"""A COLMAP model and its photos as a scene."""

from pathlib import Path

import numpy as np

from aw_jax.core.errors import UserError
from aw_jax.data import colmap_bin, colmap_txt, masks
from aw_jax.data.colmap_model import ColmapCamera, ColmapImage, ColmapPoints
from aw_jax.data.photo_files import check_is_image, existing, photo_folder
from aw_jax.data.views import PointCloud, Scene, View, sorted_names, warn_of_missing

_PLACES = ("sparse/0", "sparse", "colmap/sparse/0", "")
_READERS = {".bin": colmap_bin, ".txt": colmap_txt}


def find_model(root: Path) -> Path | None:
    """The folder under `root` that holds a model; None if there is none."""
    for place in _PLACES:
        if any((root / place / f"cameras{suffix}").is_file() for suffix in _READERS):
            return root / place
    return None


def read_scene(root: Path, model: Path, *, folder: str | None = None) -> Scene:
    """The scene at `root` with the COLMAP model in `model`.

    Args:
        root: The capture; its photos are in images/ or a smaller copy of it.
        model: The folder of cameras, images and points3D, as .bin or .txt.
        folder: The folder of photos to use, such as images_4; by default the largest.

    Raises:
        UserError: A file is damaged, a camera or pose is impossible, or fewer than
            three of the photos exist.
    """
    suffix = _stored_as(model)
    reader = _READERS[suffix]
    cameras = reader.read_cameras(model / f"cameras{suffix}")
    images = reader.read_images(model / f"images{suffix}")
    photos = photo_folder(root, folder)
    found = {image.name: existing(photos / image.name) for image in images}
    paths = {name: path for name, path in found.items() if path is not None}
    missing = sorted_names(found.keys() - paths.keys())
    warn_of_missing(missing, len(images), model)
    present = [image for image in images if image.name in paths]
    present.sort(key=lambda image: image.name.encode())
    points_file = model / f"points3D{suffix}"
    points = reader.read_points(points_file) if points_file.is_file() else None
    views = [
        _view(
            image,
            cameras,
            paths[image.name],
            masks.beside(root, photos, paths[image.name]),
            model,
        )
        for image in present
    ]
    masks.warn_of_unused(root, views)
    return Scene(
        path=root,
        kind="colmap",
        views=tuple(views),
        missing=tuple(missing),
        points=None if points is None else _cloud(points, present),
    )


def _stored_as(model: Path) -> str:
    """The suffix both needed files have."""
    for suffix in _READERS:
        if all((model / f"{stem}{suffix}").is_file() for stem in ("cameras", "images")):
            return suffix
    raise UserError(
        f"{model}: expected cameras and images of one format (.bin or .txt), got"
        f" {', '.join(sorted(path.name for path in model.glob('*.*')))}."
    )


def _view(
    image: ColmapImage,
    cameras: dict[int, ColmapCamera],
    path: Path,
    mask: Path | None,
    model: Path,
) -> View:
    if image.camera_id not in cameras:
        raise UserError(
            f"{model}: image {image.name} names camera {image.camera_id}, which the"
            " cameras file does not hold; export the model again."
        )
    check_is_image(path)
    camera = cameras[image.camera_id]
    return View(
        name=image.name,
        image_path=path,
        camera_from_world=image.camera_from_world,
        intrinsics=camera.intrinsics,
        distortion=camera.distortion,
        width=camera.width,
        height=camera.height,
        mask_path=mask,
    )


def _cloud(points: ColmapPoints, present: list[ColmapImage]) -> PointCloud:
    """The points; of their tracks, what the existing photos see."""
    ids = np.array([image.image_id for image in present], np.int64)
    order = np.argsort(ids)
    place = np.searchsorted(ids, points.observed_image, sorter=order)
    view = order[np.minimum(place, len(ids) - 1)] if len(ids) else place
    seen = np.isin(points.observed_image, ids)
    return PointCloud(
        positions=points.positions,
        colors=points.colors,
        observations=np.stack([points.observed_point[seen], view[seen]], axis=-1),
    )
