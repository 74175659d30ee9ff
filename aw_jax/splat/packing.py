"""What the small splat files share: bytes, opacities, quaternions of three parts."""

import numpy as np
from absl import logging
from scipy import special

from aw_jax.core.arrays import Bool, Float, Int, UInt8, as_numpy
from aw_jax.core.errors import UserError
from aw_jax.splat.gaussians import Splat

EDGE = 0.25 / 255
"""How far inside 0 and 1 the outermost opacities are read: their logits are finite."""
OTHERS = np.asarray([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
"""The parts of a quaternion beside each one, in order."""
NO_TURN = np.asarray([1, 0, 0, 0], np.float32)


def to_bytes(
    steps: Float[np.ndarray, " g *b"], what: str
) -> UInt8[np.ndarray, " g *b"]:
    """The nearest of 0 to 255; one warning about `what` counts rows beyond them."""
    beyond = (steps < -0.5) | (steps > 255.5)
    if count := np.count_nonzero(_any_of_row(beyond)):
        logging.warning(
            "%s of %d Gaussians exceed what the format holds; they are clamped.",
            *(what, count),
        )
    return np.clip(np.rint(steps), 0, 255).astype(np.uint8)


def opacity_bytes(logits: Float[np.ndarray, " g"]) -> UInt8[np.ndarray, " g"]:
    """Opacities in steps of 1/255."""
    return np.rint(special.expit(logits) * 255).astype(np.uint8)


def opacity_logits(opacities: UInt8[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
    """The logits of opacities in steps of 1/255, 0 and 1 read `EDGE` inside."""
    inside = np.clip(opacities / np.float32(255), EDGE, 1 - EDGE)
    return special.logit(inside).astype(np.float32)


def unit_quats(quats: Float[np.ndarray, "g 4"]) -> Float[np.ndarray, "g 4"]:
    """Quaternions of length one; one of length zero becomes no rotation."""
    length = np.linalg.norm(quats, axis=1, keepdims=True)
    unit = quats / np.where(length > 0, length, 1)
    return np.where(length > 0, unit, NO_TURN)


def drop_largest(
    quats: Float[np.ndarray, "g 4"],
) -> tuple[Float[np.ndarray, "g 3"], Int[np.ndarray, " g"]]:
    """The three smaller parts, in order, and the place of the largest, now positive."""
    row, largest = np.arange(len(quats)), np.argmax(np.abs(quats), axis=1)
    sign = np.where(quats[row, largest] < 0, -1, 1)
    return (quats * sign[:, None])[row[:, None], OTHERS[largest]], largest


def insert_largest(
    three: Float[np.ndarray, "g 3"], largest: Int[np.ndarray, " g"]
) -> Float[np.ndarray, "g 4"]:
    """The unit quaternion of three parts and the place of its fourth, positive one."""
    row = np.arange(len(three))
    quats = np.empty((len(three), 4), np.float32)
    quats[row[:, None], OTHERS[largest]] = three
    quats[row, largest] = np.sqrt(np.maximum(0, 1 - np.sum(three * three, axis=1)))
    return quats


def check_finite(where: object, splat: Splat) -> None:
    """Refuses a splat with a value that is not finite, and names the first row."""
    bad = []
    for name, values in vars(as_numpy(splat)).items():
        wrong = _any_of_row(~np.isfinite(values))
        if wrong.any():
            bad.append((int(np.argmax(wrong)), name))
    if bad:
        row, name = min(bad)
        raise UserError(
            f"{where}: {name!r} expected finite float32 numbers, got others in row "
            f"{row}; remove that Gaussian."
        )


def _any_of_row(values: Bool[np.ndarray, " g *b"]) -> Bool[np.ndarray, " g"]:
    return np.asarray(values.any(axis=tuple(range(1, values.ndim))))
