"""Feature matches between photos of known pose.

Known poses leave a feature one line to look on in another photo (its epipolar line), so
ambiguity is judged among the features near that line only, and no pose has to be
estimated from the matches. With three to eight far views this finds several times the
matches of a search that does not know the poses, and it draws nothing at random.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import pycolmap

from aw_jax.core.arrays import Bool, Float, Int
from aw_jax.data.photos import Photo

_LENGTH = 128  # of a SIFT descriptor
_ROWS = 256
_SAME_PLACE = 3.0  # pixels: one feature with two orientations, not two


@dataclass(frozen=True, kw_only=True)
class MatchingConfig:
    """When two features are one point."""

    features: int = 8192
    """Most SIFT features of a photo."""
    max_distance: float = 3.0
    """From the epipolar line, in pixels."""
    max_ratio: float = 0.7
    """Best angle between descriptors over the second best (Lowe's test)."""
    max_angle: float = 0.7
    """Between descriptors, in radians."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """What was found in one undistorted photo, and the camera that took it."""

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


def detect(photo: Photo, config: MatchingConfig) -> Features:
    """SIFT features where the photo is known."""
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu, options.num_threads = False, 1
    options.sift.max_num_features = config.features
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


def fundamental(a: Features, b: Features) -> Float[np.ndarray, "3 3"]:
    """F with x_b^T F x_a = 0 for homogeneous pixels x of one world point."""
    b_from_a = b.camera_from_world @ np.linalg.inv(a.camera_from_world)
    x, y, z = b_from_a[:3, 3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    essential = cross @ b_from_a[:3, :3]
    return np.linalg.inv(b.intrinsics).T @ essential @ np.linalg.inv(a.intrinsics)


def match(a: Features, b: Features, config: MatchingConfig) -> Int[np.ndarray, "m 2"]:
    """Index pairs (in a, in b) that are each other's best, and clearly so."""
    index_a, index_b, angle = _candidates(a, b, config)
    to_b, clear_b = _best(index_a, index_b, angle, len(a.positions), b, config)
    to_a, clear_a = _best(index_b, index_a, angle, len(b.positions), a, config)
    ours = np.flatnonzero(clear_b)
    ours = ours[clear_a[to_b[ours]] & (to_a[to_b[ours]] == ours)]
    return np.stack([ours, to_b[ours]], axis=-1)


def _candidates(
    a: Features, b: Features, config: MatchingConfig
) -> tuple[Int[np.ndarray, " c"], Int[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Pairs that lie near each other's epipolar lines, and their descriptors' angle."""
    pixels_a, pixels_b = _homogeneous(a.positions), _homogeneous(b.positions)
    matrix = fundamental(a, b)
    lines_in_b, lines_in_a = _lines(pixels_a @ matrix.T), _lines(pixels_b @ matrix)
    pairs, alike = [np.empty((2, 0), np.int64)], [np.empty(0, np.float32)]
    for start in range(0, len(pixels_a), _ROWS):  # bounds the memory of all pairs
        rows = slice(start, start + _ROWS)
        near = np.abs(lines_in_b[rows] @ pixels_b.T) <= config.max_distance
        near &= np.abs(pixels_a[rows] @ lines_in_a.T) <= config.max_distance
        pairs.append(np.argwhere(near).T + np.array([[start], [0]]))
        alike.append((a.descriptors[rows] @ b.descriptors.T)[near])
    index_a, index_b = np.concatenate(pairs, axis=-1)
    lengths = np.linalg.norm(a.descriptors, axis=-1)[index_a]
    lengths = lengths * np.linalg.norm(b.descriptors, axis=-1)[index_b]
    cosine = np.concatenate(alike) / np.maximum(lengths, 1)
    return index_a, index_b, np.arccos(np.clip(cosine, -1, 1))


def _homogeneous(positions: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
    ones = np.ones((len(positions), 1))
    return np.concatenate([positions, ones], axis=-1).astype(np.float32)


def _lines(coefficients: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Lines (a, b, c) scaled so that a u + b v + c is a distance in pixels."""
    length = np.linalg.norm(coefficients[:, :2], axis=-1, keepdims=True)
    return (coefficients / np.maximum(length, 1e-12)).astype(np.float32)


def _best(
    index: Int[np.ndarray, " c"],
    other: Int[np.ndarray, " c"],
    angle: Float[np.ndarray, " c"],
    count: int,
    others: Features,
    config: MatchingConfig,
) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Each feature's best candidate (or -1), and whether it passes the ratio test."""
    order = np.lexsort((other, angle, index))
    index, other, angle = index[order], other[order], angle[order]
    _, first = np.unique(index, return_index=True)
    best, lowest = np.full(count, -1), np.full(count, np.inf)
    best[index[first]], lowest[index[first]] = other[first], angle[first]
    away = others.positions[other] - others.positions[best[index]]
    rival = np.linalg.norm(away, axis=-1) > _SAME_PLACE
    second = np.full(count, np.pi / 2)  # SIFT has no negative entry
    np.minimum.at(second, index[rival], angle[rival])
    clear = (lowest < config.max_angle) & (lowest < config.max_ratio * second)
    return best, clear
