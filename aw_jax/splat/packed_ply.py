"""Reads the compressed .ply files of SuperSplat and splat-transform (PlayCanvas).

Three elements. `chunk` has a row for each 256 Gaussians: float32 bounds of position
and log scale and, in newer files, of color. `vertex` has four 32-bit words a Gaussian:

    packed_position  x 11, y 10, z 11 bits from the top, within the chunk's bounds
    packed_scale     the same, of log scales
    packed_rotation  2 bits name the largest of w x y z; the others, in order, have 10
                     bits each within -sqrt(1/2) and sqrt(1/2)
    packed_color     red, green, blue, opacity, 8 bits each

`sh`, where there are harmonics, has f_rest_* as bytes in steps of 1/32 within [-4, 4],
channel-major. Such files are read, not written: .spz is smaller and loses less.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Float, UInt8
from aw_jax.core.errors import UserError
from aw_jax.splat import packing
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.harmonics import sh_from_rgb
from aw_jax.splat.ply_elements import read_elements

CHUNK = 256
WORDS = ("packed_position", "packed_scale", "packed_rotation", "packed_color")
POSITION, SCALE, COLOR = (
    ("x", "y", "z"),
    ("scale_x", "scale_y", "scale_z"),
    tuple("rgb"),
)
REST_COUNTS = (9, 24, 45)

Elements = dict[str, np.ndarray]


def load_packed_ply(path: str | os.PathLike[str]) -> Splat:
    """The splat in the compressed .ply `path`, of harmonic degree 0 to 3.

    Raises:
        UserError: `path` is no whole compressed splat of finite numbers.
    """
    path = Path(path)
    elements = read_elements(path)
    _check_layout(path, elements)
    with np.errstate(over="ignore", invalid="ignore"):
        splat = _unpack(elements)
    packing.check_finite(path, splat)
    return splat


def _unpack(elements: Elements) -> Splat:
    chunks, words = elements["chunk"], elements["vertex"]
    rgba = _parts(words["packed_color"], (24, 16, 8, 0), 8)
    color = _within(chunks, COLOR, rgba[:, :3] / 255)
    first, *three = _parts(words["packed_rotation"], (30, 20, 10, 0), 10).T
    return Splat(
        means=jnp.asarray(_within(chunks, POSITION, _xyz(words["packed_position"]))),
        log_scales=jnp.asarray(_within(chunks, SCALE, _xyz(words["packed_scale"]))),
        quats=jnp.asarray(
            packing.insert_largest(
                ((np.stack(three, axis=1) / 1023 - 0.5) * 2**0.5).astype(np.float32),
                first.astype(np.int64),
            )
        ),
        logit_opacities=jnp.asarray(packing.opacity_logits(rgba[:, 3].astype("u1"))),
        sh=jnp.asarray(_harmonics(color, elements.get("sh"))),
    )


def _parts(words: np.ndarray, shifts: tuple[int, ...], bits: int) -> np.ndarray:
    """The `bits` bits of each word above each of `shifts`."""
    words = words.astype(np.uint32)
    return np.stack([(words >> s) & (2**bits - 1) for s in shifts], axis=1)


def _xyz(words: np.ndarray) -> Float[np.ndarray, "g 3"]:
    """Three numbers in [0, 1] of 11, 10 and 11 bits."""
    return _parts(words, (21, 11, 0), 11) % [2048, 1024, 2048] / [2047, 1023, 2047]


def _within(
    chunks: np.ndarray, names: tuple[str, ...], shares: Float[np.ndarray, "g 3"]
) -> Float[np.ndarray, "g 3"]:
    """Shares of the way between the bounds of each Gaussian's chunk."""
    if f"min_{names[0]}" not in (chunks.dtype.names or ()):
        return shares.astype(np.float32)
    low, high = (
        np.stack([chunks[f"{end}_{name}"] for name in names], axis=1).astype(float)
        for end in ("min", "max")
    )
    chunk = np.arange(len(shares)) // CHUNK
    return (low[chunk] * (1 - shares) + high[chunk] * shares).astype(np.float32)


def _harmonics(
    color: Float[np.ndarray, "g 3"], rest: np.ndarray | None
) -> Float[np.ndarray, "g u 3"]:
    """Coefficients by harmonic, then channel; `rest` has them channel-major."""
    constant = np.asarray(sh_from_rgb(color))[:, None]
    if rest is None:
        return constant
    names = [f"f_rest_{i}" for i in range(len(rest.dtype.names or ()))]
    values = np.stack([_rest(rest[name]) for name in names], axis=1)
    by_channel = values.reshape(len(rest), 3, -1)
    return np.concatenate([constant, np.swapaxes(by_channel, 1, 2)], axis=1)


def _rest(steps: UInt8[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
    """The middle of each step, but for the first and the last: -4 and 4."""
    values = (steps + np.float32(0.5)) / 32 - 4
    return np.where(steps == 0, -4, np.where(steps == 255, 4, values)).astype("f4")


def _check_layout(path: Path, elements: Elements) -> None:
    """Refuses other properties, other types, and counts that disagree."""
    _check_element(path, elements, "vertex", WORDS, "u4")
    chunks = elements.get("chunk", np.empty(0, []))
    colored = "min_r" in (chunks.dtype.names or ())
    names = POSITION + SCALE + (COLOR if colored else ())
    bounds = tuple(f"{end}_{name}" for end in ("min", "max") for name in names)
    _check_element(path, elements, "chunk", bounds, "f4")
    count = len(elements["vertex"])
    wanted = {"chunk": -(-count // CHUNK)}
    if "sh" in elements:
        rest = len(elements["sh"].dtype.names or ())
        if rest not in REST_COUNTS:
            raise UserError(
                f"{path}: element 'sh' expected 9, 24 or 45 properties, got {rest}; "
                "export it again."
            )
        _check_element(path, elements, "sh", [f"f_rest_{i}" for i in range(rest)], "u1")
        wanted["sh"] = count
    for name, rows in wanted.items():
        if len(elements[name]) != rows:
            raise UserError(
                f"{path}: expected {rows} rows of {name!r} for {count} Gaussians, got "
                f"{len(elements[name])}; copy it again."
            )


def _check_element(
    path: Path, elements: Elements, element: str, names: Sequence[str], kind: str
) -> None:
    if element not in elements:
        raise UserError(
            f"{path}: expected an element {element!r} in a compressed .ply, got none; "
            "export it again."
        )
    layout = elements[element].dtype
    for name in names:
        found = layout[name].str[1:] if name in (layout.names or ()) else "none"
        if found != kind:
            raise UserError(
                f"{path}: property {name!r} of {element!r} expected type {kind}, got "
                f"{found}; export it again."
            )
