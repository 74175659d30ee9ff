"""SIFT features of a photo, with the camera that took it."""

from dataclasses import dataclass

import cv2
import numpy as np
import pycolmap

from aw_jax.core.arrays import Float
from aw_jax.data.photos import Photo

_LENGTH = 128  # of a SIFT descriptor


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """What was found in one undistorted photo."""

    positions: Float[np.ndarray, "n 2"]
    """Pixels; centres at +0.5."""
    descriptors: Float[np.ndarray, "n d"]
    """Whole numbers from 0 to 255 as float32, so that dot products are exact."""
    colors: Float[np.ndarray, "n 3"]
    """The photo's colour there, in [0, 1]."""
    intrinsics: Float[np.ndarray, "3 3"]
    camera_from_world: Float[np.ndarray, "4 4"]
    width: int
    height: int


def detect(photo: Photo, *, most: int) -> Features:
    """At most some `most` features, where the photo is known."""
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu, options.num_threads = False, 1
    options.sift.max_num_features = most
    sift = pycolmap.FeatureExtractor.create(options, pycolmap.Device.cpu)
    pixels = np.round(photo.image * 255).astype(np.uint8)
    found, described = sift.extract_from_uint8_array(
        cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    )
    positions = pycolmap.keypoints_to_matrix(found)[:, :2].astype(np.float64)
    height, width = photo.known.shape
    column, row = np.clip(positions.T.astype(int), 0, [[width - 1], [height - 1]])
    keep = photo.known[row, column]
    return Features(
        positions=positions[keep],
        descriptors=described.data.astype(np.float32).reshape(-1, _LENGTH)[keep],
        colors=photo.image[row, column][keep],
        intrinsics=photo.intrinsics,
        camera_from_world=photo.camera_from_world,
        width=width,
        height=height,
    )
