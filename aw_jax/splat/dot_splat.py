"""Splats as .splat files, the layout of antimatter15's web viewer.

No header; 32 bytes a Gaussian: position and standard deviations as three float32 each,
color and opacity as four bytes, rotation wxyz as four bytes. What it loses:

    opacity   steps of 1/255; 0 and 1 are read a quarter step inside
    color     steps of 1/255 within [0, 1], the same from everywhere: harmonics beyond
              the constant one are dropped, with a warning
    rotation  each part of the unit quaternion in steps of 1/128 within [-1, 127/128]
    size      float32 exactly, but for the rounding of exp and log

Gaussians keep their order; other writers put large opaque ones first, for streaming.
"""

import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from absl import logging

from aw_jax.core import atomic
from aw_jax.core.arrays import Float, UInt8, as_numpy
from aw_jax.core.errors import UserError
from aw_jax.splat import packing
from aw_jax.splat.gaussians import Splat, sh_degree
from aw_jax.splat.harmonics import rgb_from_sh, sh_from_rgb

ROW = np.dtype(
    [("mean", "<f4", 3), ("size", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)]
)


def save_dot_splat(path: str | os.PathLike[str], splat: Splat) -> None:
    """Writes `splat` to `path`, whole or not at all.

    Raises:
        UserError: it has a value that is not finite, or a size beyond float32.
    """
    packing.check_finite(path, splat)
    if degree := sh_degree(splat):
        logging.warning(
            "%s: .splat holds one color a Gaussian; its harmonics of degree 1 to %d "
            "are dropped.",
            *(path, degree),
        )
    splat = as_numpy(splat)
    colors = np.asarray(rgb_from_sh(splat.sh[:, 0])) * 255
    columns = (
        _bytes(splat.means),
        _bytes(_sizes(path, splat.log_scales)),
        packing.to_bytes(colors, f"{path}: the colors"),
        packing.opacity_bytes(splat.logit_opacities)[:, None],
        _quat_bytes(splat.quats),
    )
    atomic.write_bytes(path, np.concatenate(columns, axis=1).tobytes())


def load_dot_splat(path: str | os.PathLike[str]) -> Splat:
    """The splat in `path`, of harmonic degree 0.

    Raises:
        UserError: `path` is not whole rows of finite numbers and positive sizes.
    """
    rows = _read_rows(Path(path))
    mean, size = rows["mean"], rows["size"]
    good = np.isfinite(mean).all(axis=1) & (np.isfinite(size) & (size >= 0)).all(axis=1)
    if not good.all():
        raise UserError(
            f"{path}: expected finite positions and sizes of at least 0, got others in "
            f"row {int(np.argmin(good))}; remove that Gaussian."
        )
    color = sh_from_rgb(rows["rgba"][:, :3] / np.float32(255))
    return Splat(
        means=jnp.asarray(mean),
        log_scales=jnp.asarray(np.log(np.maximum(size, np.finfo(np.float32).tiny))),
        quats=jnp.asarray(packing.unit_quats(rows["quat"] / np.float32(128) - 1)),
        logit_opacities=jnp.asarray(packing.opacity_logits(rows["rgba"][:, 3])),
        sh=jnp.asarray(color[:, None]),
    )


def _read_rows(path: Path) -> np.ndarray:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    if not data or len(data) % ROW.itemsize:
        raise UserError(
            f"{path}: expected {ROW.itemsize} bytes a Gaussian, got {len(data)} bytes "
            "in all; it is cut short or no .splat, copy it again."
        )
    return np.frombuffer(data, ROW)


def _bytes(values: Float[np.ndarray, "g 3"]) -> UInt8[np.ndarray, "g 12"]:
    return np.ascontiguousarray(values, "<f4").view(np.uint8)


def _quat_bytes(quats: Float[np.ndarray, "g 4"]) -> UInt8[np.ndarray, "g 4"]:
    steps = np.rint(packing.unit_quats(quats) * 128 + 128)
    return np.minimum(steps, 255).astype(np.uint8)


def _sizes(
    path: str | os.PathLike[str], log_scales: Float[np.ndarray, "g 3"]
) -> Float[np.ndarray, "g 3"]:
    with np.errstate(over="ignore"):
        sizes = np.exp(log_scales)
    if not np.isfinite(sizes).all():
        row = int(np.argmax(np.isinf(sizes).any(axis=1)))
        raise UserError(
            f"{path}: .splat expected log scales below 88.7, got "
            f"{log_scales[row].max()} in row {row}; remove that Gaussian."
        )
    return sizes
