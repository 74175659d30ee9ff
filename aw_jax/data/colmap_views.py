"""Posed pinhole images for pycolmap."""

from collections.abc import Iterable

import numpy as np
import pycolmap

from aw_jax.core.arrays import Float


def add_view(
    model: pycolmap.Reconstruction,
    index: int,
    *,
    name: str,
    intrinsics: Float[np.ndarray, "3 3"],
    camera_from_world: Float[np.ndarray, "4 4"],
    size: tuple[int, int],
    positions: Iterable[Float[np.ndarray, " 2"]] = (),
) -> None:
    """Adds a posed image and a pinhole camera of its own, of the same id.

    Args:
        model: what is added to.
        index: the id, from 1.
        name: of the image.
        intrinsics: for an image of this size.
        camera_from_world: its pose.
        size: width and height.
        positions: pixels of its features.
    """
    (fx, _, cx), (_, fy, cy), _ = intrinsics
    camera = pycolmap.Camera(
        model="PINHOLE",
        width=size[0],
        height=size[1],
        params=[fx, fy, cx, cy],
        camera_id=index,
    )
    model.add_camera_with_trivial_rig(camera)
    image = pycolmap.Image(name=name, camera_id=index, image_id=index)
    points = [pycolmap.Point2D(position) for position in positions]
    image.points2D = pycolmap.Point2DList(points)
    model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(camera_from_world[:3]))
