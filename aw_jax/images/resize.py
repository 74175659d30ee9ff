"""Images at another size: exact area means downwards, bilinear otherwise.

Both are one matrix per axis, built on the host, so that any backend runs them as two
products.
"""

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float


def area(
    images: Float[Array, "*b h w c"], *, height: int, width: int
) -> Float[Array, "*b {height} {width} c"]:
    """Shrinks by the mean over each new pixel's exact footprint.

    Raises:
        ValueError: if an axis would grow.
    """
    rows, columns = images.shape[-3], images.shape[-2]
    if height > rows or width > columns:
        raise ValueError(
            f"area only shrinks, got {columns}x{rows} -> {width}x{height}."
        )
    return _apply(images, _area_matrix(rows, height), _area_matrix(columns, width))


def bilinear(
    images: Float[Array, "*b h w c"], *, height: int, width: int
) -> Float[Array, "*b {height} {width} c"]:
    """Samples at the new pixels' centres, clamped at the border, no anti-aliasing."""
    rows, columns = images.shape[-3], images.shape[-2]
    return _apply(
        images, _bilinear_matrix(rows, height), _bilinear_matrix(columns, width)
    )


def _apply(
    images: Float[Array, "*b h w c"],
    vertical: Float[np.ndarray, "i h"],
    horizontal: Float[np.ndarray, "j w"],
) -> Float[Array, "*b i j c"]:
    images = jnp.einsum("ih,...hwc->...iwc", vertical, images, precision="highest")
    return jnp.einsum("jw,...iwc->...ijc", horizontal, images, precision="highest")


def _area_matrix(size: int, smaller: int) -> Float[np.ndarray, "i h"]:
    """Row i holds the share of each old pixel in the footprint of new pixel i."""
    edges = np.arange(smaller + 1) * (size / smaller)
    low, high = edges[:-1, None], edges[1:, None]
    old = np.arange(size)
    overlap = np.minimum(high, old + 1) - np.maximum(low, old)
    shares = np.clip(overlap, 0, None) * (smaller / size)
    return shares.astype(np.float32)


def _bilinear_matrix(size: int, other: int) -> Float[np.ndarray, "i h"]:
    """Row i interpolates the two old pixels around the centre of new pixel i."""
    centers = (np.arange(other) + 0.5) * (size / other) - 0.5
    centers = np.clip(centers, 0, size - 1)[:, None]
    return np.clip(1 - np.abs(centers - np.arange(size)), 0, None).astype(np.float32)
