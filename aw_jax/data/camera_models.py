"""COLMAP's camera models, as the intrinsics and distortion they stand for."""

from collections.abc import Mapping

import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.core.errors import UserError
from aw_jax.geometry.distortion import Distortion

PARAMETERS = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
    "OPENCV_FISHEYE": ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"),
}
"""The supported models and their parameters, in the order of COLMAP's files.

A model's place in this table is the id it has in COLMAP's binary files.
"""

_LARGEST = 1e9


def check_supported(model: str | int, where: str) -> None:
    """Refuses a camera model outside the table, naming those inside.

    Args:
        model: A name, or the id that stands in a binary file.
        where: What to blame, for the message.
    """
    known = range(len(PARAMETERS)) if isinstance(model, int) else PARAMETERS
    if model not in known:
        raise UserError(
            f"{where}: unknown camera model {model}; supported are"
            f" {', '.join(PARAMETERS)}. Undistort the photos with COLMAP's"
            " image_undistorter first."
        )


def lens(
    values: Mapping[str, float], *, fisheye: bool
) -> tuple[Float[np.ndarray, "3 3"], Distortion]:
    """Intrinsics and distortion from parameters by name; an absent k or p is zero."""
    fx, fy = values.get("fx", values.get("f")), values.get("fy", values.get("f"))
    intrinsics = np.array(
        [[fx, 0, values["cx"]], [0, fy, values["cy"]], [0, 0, 1]], dtype=np.float64
    )
    radial = tuple(values.get(name, 0.0) for name in ("k1", "k2", "k3", "k4"))
    tangential = (values.get("p1", 0.0), values.get("p2", 0.0))
    if fisheye:
        tangential = (0.0, 0.0)
    return intrinsics, Distortion(fisheye=fisheye, radial=radial, tangential=tangential)


def check_intrinsics(
    intrinsics: Float[np.ndarray, "3 3"], width: int, height: int, where: str
) -> None:
    """Refuses sizes and focal lengths no camera has, and values that are not finite."""
    if not (0 < width < _LARGEST and 0 < height < _LARGEST):
        raise UserError(f"{where}: image size {width}x{height} must be positive.")
    if not np.all(np.abs(intrinsics) < _LARGEST):
        raise UserError(
            f"{where}: focal length or principal point is not a finite number"
            f" below {_LARGEST:g}: fx, fy, cx, cy = {_listed(intrinsics)}."
        )
    if not np.all(np.diag(intrinsics) > 0):
        raise UserError(
            f"{where}: focal lengths must be positive, got fx, fy, cx, cy ="
            f" {_listed(intrinsics)}."
        )


def _listed(intrinsics: Float[np.ndarray, "3 3"]) -> str:
    (fx, _, cx), (_, fy, cy), _ = intrinsics
    return ", ".join(f"{value:g}" for value in (fx, fy, cx, cy))
