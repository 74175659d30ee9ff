"""Splats as .ply files in Inria's layout.

One `vertex` element of float32 properties: x y z, nx ny nz (zeros; other writers omit
them), f_dc_0..2, f_rest_*, opacity (logit), scale_0..2 (log), rot_0..3 (wxyz). f_rest
is channel-major: all red coefficients, then green, then blue. What is written is binary
and little endian and reads back bit for bit; ASCII and big endian are read too.
"""

import os
from pathlib import Path

import jax
import numpy as np
from plyfile import PlyData, PlyElement

from aw_jax.core import atomic
from aw_jax.core.arrays import Array, Float, as_numpy
from aw_jax.core.errors import UserError
from aw_jax.splat.gaussians import Splat, sh_degree
from aw_jax.splat.ply_elements import read_elements

POSITION = ("x", "y", "z")
NORMAL = ("nx", "ny", "nz")
CONSTANT = ("f_dc_0", "f_dc_1", "f_dc_2")
SCALE = ("scale_0", "scale_1", "scale_2")
ROTATION = ("rot_0", "rot_1", "rot_2", "rot_3")
REQUIRED = (*POSITION, *CONSTANT, "opacity", *SCALE, *ROTATION)
REST_COUNTS = {3 * ((d + 1) ** 2 - 1): d for d in range(4)}


def save_ply(path: str | os.PathLike[str], splat: Splat) -> None:
    """Writes `splat` to `path`, whole or not at all."""
    rest = _rest_names(3 * ((sh_degree(splat) + 1) ** 2 - 1))
    splat = as_numpy(splat)
    names = (*POSITION, *NORMAL, *CONSTANT, *rest, "opacity", *SCALE, *ROTATION)
    rows = np.empty(splat.means.shape[0], [(name, "<f4") for name in names])
    _fill(rows, POSITION, splat.means)
    _fill(rows, NORMAL, np.zeros(splat.means.shape))
    _fill(rows, CONSTANT, splat.sh[:, 0])
    channel_major = np.swapaxes(splat.sh[:, 1:], 1, 2)
    _fill(rows, rest, channel_major.reshape(rows.size, len(rest)))
    _fill(rows, ("opacity",), splat.logit_opacities[:, None])
    _fill(rows, SCALE, splat.log_scales)
    _fill(rows, ROTATION, splat.quats)
    with atomic.replacing(path) as aside:
        PlyData([PlyElement.describe(rows, "vertex")], byte_order="<").write(str(aside))


def load_ply(path: str | os.PathLike[str]) -> Splat:
    """The splat in `path`, of harmonic degree 0 to 3.

    Raises:
        UserError: `path` is not a whole splat of finite numbers; says what is wrong.
    """
    path = Path(path)
    rows = read_elements(path)["vertex"]
    names = set(rows.dtype.names or ())
    if missing := [name for name in REQUIRED if name not in names]:
        raise UserError(
            f"{path}: expected a Gaussian splat, but property {missing[0]!r} of "
            "'vertex' is missing; export it uncompressed, in Inria's layout."
        )
    rest = _rest_names(sum(name.startswith("f_rest_") for name in names))
    if len(rest) not in REST_COUNTS or not names.issuperset(rest):
        raise UserError(
            f"{path}: expected properties f_rest_0 to f_rest_n-1 with n = 0, 9, 24 or "
            f"45, got {len(rest)} that start with f_rest_; export it again."
        )
    _check_values(path, rows, (*REQUIRED, *rest))
    return Splat(
        sh=_harmonics(rows, rest),
        means=_columns(rows, POSITION),
        log_scales=_columns(rows, SCALE),
        quats=_columns(rows, ROTATION),
        logit_opacities=_columns(rows, ("opacity",))[:, 0],
    )


def _rest_names(count: int) -> tuple[str, ...]:
    return tuple(f"f_rest_{i}" for i in range(count))


def _fill(rows: np.ndarray, names: tuple[str, ...], values: np.ndarray) -> None:
    for column, name in enumerate(names):
        rows[name] = values[:, column]


def _columns(rows: np.ndarray, names: tuple[str, ...]) -> Float[Array, "g n"]:
    """The properties `names` as float32, one column each."""
    values = np.empty((rows.size, len(names)), np.float32)
    for column, name in enumerate(names):
        values[:, column] = rows[name]
    return jax.device_put(values)  # jnp.asarray would hold a third copy for a moment


def _harmonics(rows: np.ndarray, rest: tuple[str, ...]) -> Float[Array, "g u 3"]:
    """Coefficients by harmonic, then channel; `rest` has them channel-major."""
    each = len(rest) // 3
    values = np.empty((rows.size, 1 + each, 3), np.float32)
    for channel in range(3):
        values[:, 0, channel] = rows[CONSTANT[channel]]
        for u in range(each):
            values[:, 1 + u, channel] = rows[rest[channel * each + u]]
    return jax.device_put(values)


def _check_values(path: Path, rows: np.ndarray, names: tuple[str, ...]) -> None:
    """Refuses properties that are not floats, and names the first row not finite."""
    bad: list[tuple[int, str]] = []
    for name in names:
        kind = rows.dtype[name]
        if kind.kind != "f":
            raise UserError(
                f"{path}: property {name!r} expected type float or double, got "
                f"{kind.name}; export it again."
            )
        finite = np.abs(rows[name]) <= np.finfo(np.float32).max
        if not finite.all():
            bad.append((int(np.argmin(finite)), name))
    if bad:
        row, name = min(bad)
        raise UserError(
            f"{path}: property {name!r} expected finite float32 numbers, got "
            f"{rows[name][row]} in row {row}; remove that Gaussian."
        )
