"""A posed capture: photos with their cameras, and the points known of the place.

Everything here is float64 numpy on the host; no photo has been decoded. What must hold
is checked when a container is built, so that every reader is held to the same.
"""

import dataclasses
import difflib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from absl import logging

from aw_jax.core.arrays import Float, Int, UInt8
from aw_jax.core.errors import UserError
from aw_jax.data.camera_models import check_intrinsics
from aw_jax.geometry.distortion import Distortion

FEWEST_VIEWS = 3

_LARGEST_OFFSET = 1e9
_ROTATION_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """One photo on disk and the camera that took it."""

    name: str
    """Relative path as the capture lists it, with forward slashes; unique."""
    image_path: Path
    camera_from_world: Float[np.ndarray, "4 4"]
    """A rigid motion; OpenCV axes (x right, y down, z forward)."""
    intrinsics: Float[np.ndarray, "3 3"]
    """[[fx, 0, cx], [0, fy, cy], [0, 0, 1]] for a photo of `width` x `height`."""
    distortion: Distortion = field(default_factory=Distortion)
    width: int
    height: int
    """The size the intrinsics speak of; the file may be the same photo, smaller."""
    mask_path: Path | None = None
    """White where the photo is used, black where not; None: all of it is."""

    def __post_init__(self) -> None:
        """Refuses cameras that cannot be."""
        check_intrinsics(self.intrinsics, self.width, self.height, f"view {self.name}")
        check_rigid(self.camera_from_world, f"view {self.name}")

    @property
    def center(self) -> Float[np.ndarray, " 3"]:
        """The camera's centre in the world."""
        rotation, offset = self.camera_from_world[:3, :3], self.camera_from_world[:3, 3]
        return -rotation.T @ offset


@dataclass(frozen=True, kw_only=True, eq=False)
class PointCloud:
    """The points a capture came with."""

    positions: Float[np.ndarray, "p 3"]
    colors: UInt8[np.ndarray, "p 3"]
    observations: Int[np.ndarray, "o 2"] | None = None
    """Rows (point, index into the scene's views): who sees what. None if not stored."""

    def __post_init__(self) -> None:
        """Refuses positions that are not finite."""
        if not np.all(np.abs(self.positions) < _LARGEST_OFFSET):
            raise UserError(
                f"the scene's points hold a position that is no finite number below"
                f" {_LARGEST_OFFSET:g}: remove it, or the file of points."
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A capture: its photos that exist, sorted by the bytes of their names."""

    path: Path
    kind: str
    """Which reader recognised it: "colmap" or "transforms"."""
    views: tuple[View, ...]
    missing: tuple[str, ...] = ()
    """Names listed by the capture whose photos are not on disk."""
    points: PointCloud | None = None

    def __post_init__(self) -> None:
        """Refuses captures too small, or with two views of one name."""
        names = [view.name for view in self.views]
        for earlier, name in itertools.pairwise(names):
            if earlier == name:
                raise UserError(
                    f"{self.path}: the photo {name} is listed twice; list it once."
                )
        assert names == sorted_names(names), "views are sorted by name"
        if len(names) < FEWEST_VIEWS:
            raise UserError(
                f"{self.path}: expected at least {FEWEST_VIEWS} readable photos, got"
                f" {len(names)} ({len(self.missing)} more are listed but not on disk)."
            )

    def named(self, names: Iterable[str]) -> tuple[View, ...]:
        """The views of these names, in this order."""
        by_name = {view.name: view for view in self.views}
        return tuple(by_name[name] for name in names)

    def find(self, wanted: str, field: str) -> View:
        """The view of this name, or the only one whose file is called so.

        Raises:
            UserError: there is none, or several; `field` is what the user set.
        """
        files = {view.name: view.name.rsplit("/", 1)[-1] for view in self.views}
        names = [wanted] if wanted in files else []
        names = names or [name for name, file in files.items() if file == wanted]
        if len(names) != 1:
            known = files.keys() if names or "/" in wanted else files.values()
            nearest = difflib.get_close_matches(wanted, known, n=1, cutoff=0)
            first, *_, last = files
            raise UserError(
                f"{field}: expected one view {wanted} in {self.path}, got"
                f" {len(names)}; its {len(files)} photos are {first} to {last}. Did you"
                f" mean '{nearest[0]}'?"
            )
        return self.named(names)[0]

    def without_masks(self) -> "Scene":
        """The same capture, its photos used whole."""
        plain = [dataclasses.replace(view, mask_path=None) for view in self.views]
        return dataclasses.replace(self, views=tuple(plain))


def file_stem(name: str) -> str:
    """What files made of this view are called, without their suffix: one flat name."""
    return name.rsplit(".", 1)[0].replace("/", "_")


def sorted_names(names: Iterable[str]) -> list[str]:
    """Names in the order of their bytes: the order every split counts in."""
    return sorted(names, key=lambda name: name.encode())


def warn_of_missing(missing: Sequence[str], listed: int, where: Path) -> None:
    """One warning that counts the listed photos that are not there."""
    if missing:
        logging.warning(
            "%s lists %d photos; %d of them are not on disk and are skipped (%s%s).",
            *(where, listed, len(missing), ", ".join(missing[:3])),
            ", ..." if len(missing) > 3 else "",
        )


def check_rigid(matrix: Float[np.ndarray, "4 4"], where: str) -> None:
    """Refuses a pose that is no rotation and finite translation."""
    if not np.all(np.abs(matrix) < _LARGEST_OFFSET):
        raise UserError(
            f"{where}: its pose holds a value that is no finite number below"
            f" {_LARGEST_OFFSET:g}; remove the view or repair the pose."
        )
    rotation = matrix[:3, :3]
    error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if error > _ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
        raise UserError(
            f"{where}: its pose is no rotation and translation (R R^T is off by"
            f" {error:.2g}, det R = {np.linalg.det(rotation):.3g}); expected an"
            " orthonormal, right-handed R without scale."
        )
    if not np.array_equal(matrix[3], [0, 0, 0, 1]):
        raise UserError(
            f"{where}: the last row of its pose must be 0 0 0 1, got {matrix[3]}."
        )
