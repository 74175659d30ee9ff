"""What a COLMAP model says, whether it was stored as binary or as text.

Rigs and frames (COLMAP 4) are not read: the images file holds every composed pose.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aw_jax.core.arrays import Float, Int, UInt8
from aw_jax.core.errors import UserError
from aw_jax.geometry.distortion import Distortion


@dataclass(frozen=True, kw_only=True, eq=False)
class ColmapCamera:
    """One entry of the cameras file."""

    width: int
    height: int
    intrinsics: Float[np.ndarray, "3 3"]
    distortion: Distortion


@dataclass(frozen=True, kw_only=True, eq=False)
class ColmapImage:
    """One registered entry of the images file."""

    image_id: int
    name: str
    camera_id: int
    camera_from_world: Float[np.ndarray, "4 4"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ColmapPoints:
    """The points file, its tracks as flat rows."""

    positions: Float[np.ndarray, "p 3"]
    colors: UInt8[np.ndarray, "p 3"]
    observed_point: Int[np.ndarray, " o"]
    """Which point a row of its track belongs to."""
    observed_image: Int[np.ndarray, " o"]
    """The id of the image that sees it there."""


def pose(
    quaternion: Float[np.ndarray, " 4"],
    translation: Float[np.ndarray, " 3"],
    where: str,
) -> Float[np.ndarray, "4 4"]:
    """camera_from_world from COLMAP's quaternion (w, x, y, z; any length but 0)."""
    matrix = np.eye(4)
    matrix[:3, 3] = translation
    with np.errstate(all="ignore"):
        length = np.linalg.norm(quaternion)
    if not (np.isfinite(length) and length > 1e-6):
        raise UserError(
            f"{where}: the quaternion of its pose must be finite and not zero, got"
            f" {quaternion}."
        )
    matrix[:3, :3] = _rotation(quaternion / length)
    return matrix


def _rotation(unit: Float[np.ndarray, " 4"]) -> Float[np.ndarray, "3 3"]:
    """2 (v v^T + w [v]_x) + (w^2 - v.v) I for the unit quaternion (w, v)."""
    w, v = unit[0], unit[1:]
    x, y, z = v
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return 2 * (np.outer(v, v) + w * cross) + (w * w - v @ v) * np.eye(3)


def check_unique(ids: list[int], what: str, path: Path) -> None:
    """Refuses a file that uses an id twice."""
    if len(set(ids)) != len(ids):
        raise UserError(f"{path}: a {what} id is used twice; the file is damaged.")
