"""Splats as .spz files, Niantic's format, several times smaller than a .ply.

Versions 2, 3 (gzip) and 4 (zstd) are read; 3 is written, since most viewers know it.
The file's frame is x right, y up, z back, a .ply's x right, y down, z forward: signs
change on the way in and out. What it loses:

    position  24-bit fixed point; the largest coordinate sets the step, 2^-20 up to 8
              units, 2^-19 up to 16, and so on
    size      natural logarithms in steps of 1/16 within [-10, 5.94]
    rotation  three parts of the unit quaternion in steps of sqrt(1/2) / 511
    opacity   steps of 1/255; 0 and 1 are read a quarter step inside
    color     the constant coefficient in steps of 2/76.5 within [-3.33, 3.33]
    harmonics steps of 1/16 in degree 1, of 1/8 beyond, within [-1, 0.99]

Values outside are clamped, with a warning that counts them.
"""

import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from absl import logging

from aw_jax.core.arrays import Float, UInt8, as_numpy
from aw_jax.core.errors import UserError
from aw_jax.splat import packing, spz_container
from aw_jax.splat.gaussians import Splat, sh_degree
from aw_jax.splat.spz_container import Header

FLIP = np.asarray([1, -1, -1], np.float32)
"""From one frame to the other and back: half a turn about x."""
FLIP_QUATS = np.asarray([1, 1, -1, -1], np.float32)
FLIP_HARMONICS = np.asarray(
    [-1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1], np.float32
)
"""The parity in y and z of each harmonic from degree 1 to 3."""
XYZW, WXYZ = [1, 2, 3, 0], [3, 0, 1, 2]
SHIFTS = np.asarray([20, 10, 0], np.uint32)
PLACES = np.uint32(1) << SHIFTS
COLOR_STEPS = 0.15 * 255
LARGEST = 2**23 - 1


def save_spz(path: str | os.PathLike[str], splat: Splat) -> None:
    """Writes `splat` to `path`, whole or not at all.

    Raises:
        UserError: it has a value that is not finite, or a coordinate beyond 2^23.
    """
    packing.check_finite(path, splat)
    splat = as_numpy(splat)
    bits = _fractional_bits(path, splat.means)
    fixed = np.rint(splat.means * FLIP * np.float64(2**bits)).astype("<i4")
    scales = (splat.log_scales + 10) * 16
    colors = splat.sh[:, 0] * COLOR_STEPS + 127.5
    attributes = {
        "positions": fixed[..., None].view(np.uint8)[..., :3].reshape(-1, 9),
        "opacities": packing.opacity_bytes(splat.logit_opacities)[:, None],
        "colors": packing.to_bytes(colors, f"{path}: the colors"),
        "scales": packing.to_bytes(scales, f"{path}: the log scales"),
        "rotations": _rotation_words(splat.quats),
        "harmonics": _harmonic_bytes(splat.sh[:, 1:], f"{path}: the harmonics"),
    }
    header = Header(3, len(splat.means), sh_degree(splat), bits)
    spz_container.write(Path(path), header, attributes)


def load_spz(path: str | os.PathLike[str]) -> Splat:
    """The splat in `path`, of harmonic degree 0 to 3.

    Raises:
        UserError: `path` is no whole .spz of version 2, 3 or 4.
    """
    header, found = spz_container.read(Path(path))
    if header.degree > 3:
        logging.warning("%s: its harmonics of degree 4 are dropped.", path)
    rotations = _from_words if header.version > 2 else _from_vectors
    colors = (found["colors"] - np.float32(127.5)) / np.float32(COLOR_STEPS)
    harmonics = _harmonics(found["harmonics"])
    return Splat(
        means=jnp.asarray(_positions(found["positions"], header.fractional_bits)),
        log_scales=jnp.asarray(found["scales"] / np.float32(16) - 10),
        quats=jnp.asarray(rotations(found["rotations"]) * FLIP_QUATS),
        logit_opacities=jnp.asarray(packing.opacity_logits(found["opacities"][:, 0])),
        sh=jnp.asarray(np.concatenate([colors[:, None], harmonics], axis=1)),
    )


def _fractional_bits(
    path: str | os.PathLike[str], means: Float[np.ndarray, "g 3"]
) -> int:
    """The most bits, up to 20, with which every coordinate fits in 24."""
    largest = np.abs(means).max(initial=0)
    if largest > LARGEST:
        raise UserError(
            f"{path}: .spz expected coordinates up to {LARGEST}, got {largest} in row "
            f"{int(np.argmax(np.abs(means).max(axis=1)))}; remove that Gaussian."
        )
    return next(b for b in range(20, -1, -1) if np.rint(largest * 2**b) <= LARGEST)


def _positions(fixed: UInt8[np.ndarray, "g 9"], bits: int) -> Float[np.ndarray, "g 3"]:
    """Signed 24-bit numbers, `bits` of them behind the point."""
    words = np.zeros((len(fixed), 3, 4), np.uint8)
    words[..., 1:] = fixed.reshape(-1, 3, 3)
    steps = words.view("<i4")[..., 0] >> 8
    return steps.astype(np.float32) / np.float32(2**bits) * FLIP


def _rotation_words(quats: Float[np.ndarray, "g 4"]) -> UInt8[np.ndarray, "g 4"]:
    """2 bits name the largest of x y z w; the others have a sign and 9 bits each."""
    flipped = packing.unit_quats(quats) * FLIP_QUATS
    three, largest = packing.drop_largest(flipped[:, XYZW])
    size = np.rint(np.abs(three) * (511 * 2**0.5)).astype(np.uint32)
    parts = size | (three < 0).astype(np.uint32) << 9
    words = parts @ PLACES | largest.astype(np.uint32) << 30
    return words.astype("<u4")[:, None].view(np.uint8)


def _from_words(rotations: UInt8[np.ndarray, "g 4"]) -> Float[np.ndarray, "g 4"]:
    words = np.ascontiguousarray(rotations).view("<u4")
    parts = words >> SHIFTS & 1023
    three = (parts & 511) / np.float32(511 * 2**0.5) * np.where(parts & 512, -1, 1)
    largest = (words[:, 0] >> 30).astype(np.int64)
    return packing.insert_largest(three.astype(np.float32), largest)[:, WXYZ]


def _from_vectors(rotations: UInt8[np.ndarray, "g 3"]) -> Float[np.ndarray, "g 4"]:
    """Version 2 has x, y, z as bytes, of a w that is not negative."""
    vector = rotations / np.float32(127.5) - 1
    last = np.full(len(vector), 3)
    return packing.unit_quats(packing.insert_largest(vector, last)[:, WXYZ])


def _harmonic_bytes(
    sh: Float[np.ndarray, "g u 3"], what: str
) -> UInt8[np.ndarray, "g n"]:
    """Coefficients by harmonic, then channel, in steps of 8 (degree 1) or 16 of 256."""
    count = sh.shape[1]
    step = np.where(np.arange(count) < 3, 8, 16)[:, None]
    flipped = sh * FLIP_HARMONICS[:count, None]
    steps = np.rint(flipped * (128 / step)) * step + 128
    steps = np.where(steps == 256, 255, steps)  # half a step off at most, not clamped
    return packing.to_bytes(steps, what).reshape(len(sh), 3 * count)


def _harmonics(found: UInt8[np.ndarray, "g n"]) -> Float[np.ndarray, "g u 3"]:
    """The coefficients up to degree 3."""
    values = (found / np.float32(128) - 1).reshape(len(found), found.shape[1] // 3, 3)
    count = min(values.shape[1], 15)
    return values[:, :count] * FLIP_HARMONICS[:count, None]
