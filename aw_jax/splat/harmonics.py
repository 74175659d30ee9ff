"""View-dependent color as real spherical harmonics, signs and order as in Inria's code.

    color(d) = max(1/2 + sum_u basis_u(d) sh_u, 0),   d = unit(mean - camera centre)

There is no upper clamp: what to do with a color above one is the loss's to decide.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core import numerics
from aw_jax.core.arrays import Array, Float, Int
from aw_jax.splat.kernels import native_harmonics

DC = 0.28209479177387814
"""The constant harmonic, 1 / (2 sqrt(pi))."""
C1 = 0.4886025119029199
HIGHEST = jax.lax.Precision.HIGHEST

AnyArray = Array | np.ndarray
Vector = tuple[Float[Array, "*b"], Float[Array, "*b"], Float[Array, "*b"]]
"""x, y, z."""


def basis(directions: Float[Array, "*b 3"], *, degree: int) -> Float[Array, "*b u"]:
    """The harmonics up to `degree` (0 to 3) along unit `directions`."""
    x, y, z = numerics.components(directions)
    return jnp.stack(terms((x, y, z), degree=degree), axis=-1)


def terms(direction: Vector, *, degree: int) -> tuple[Float[Array, "*b"], ...]:
    """`basis` by components: one array for each harmonic."""
    x, y, z = direction
    found = [jnp.full_like(x, DC)]
    if degree >= 1:
        found += [c * p for c, p in zip((-C1, C1, -C1), (y, z, x), strict=True)]
    if degree >= 2:
        found += _second(x, y, z)
    if degree >= 3:
        found += _third(x, y, z)
    return tuple(found)


def _second(
    x: Float[Array, "*b"], y: Float[Array, "*b"], z: Float[Array, "*b"]
) -> list[Float[Array, "*b"]]:
    return [
        1.0925484305920792 * x * y,
        -1.0925484305920792 * y * z,
        0.9461746957575601 * z * z - 0.3153915652525201,
        -1.0925484305920792 * x * z,
        0.5462742152960396 * (x * x - y * y),
    ]


def _third(
    x: Float[Array, "*b"], y: Float[Array, "*b"], z: Float[Array, "*b"]
) -> list[Float[Array, "*b"]]:
    xx, yy, zz = x * x, y * y, z * z
    return [
        -0.5900435899266435 * y * (3 * xx - yy),
        2.890611442640554 * x * y * z,
        -0.4570457994644658 * y * (5 * zz - 1),
        z * (1.865881662950577 * zz - 1.119528997770346),
        -0.4570457994644658 * x * (5 * zz - 1),
        1.445305721320277 * z * (xx - yy),
        -0.5900435899266435 * x * (xx - 3 * yy),
    ]


def colors(
    sh: Float[Array, "g u 3"],
    direction: Vector,
    *,
    degree: int,
    count: Int[Array, ""] | None = None,
    native: bool = False,
) -> Float[Array, "v g 3"]:
    """The color of each Gaussian along unit directions (v, g), at least 0.

    `count` may close harmonics within `degree`: only the first so many are used.
    `native` sums by `kernels/harmonics.cc`. The clamp passes the whole gradient at
    exactly 0, as torch's does.
    """
    most = (degree + 1) ** 2
    if native:
        used = most if count is None else jnp.minimum(count, most)
        mixed = native_harmonics.mixed(sh, direction, jnp.asarray(used))
    else:
        weights = terms(direction, degree=degree)
        if count is not None:
            weights = tuple(jnp.where(u < count, w, 0) for u, w in enumerate(weights))
        mixed = _mixed(weights, sh[:, :most])
    color = 0.5 + mixed
    return jnp.where(color >= 0, color, 0)


@jax.custom_vjp
def _mixed(
    weights: tuple[Float[Array, "v g"], ...], sh: Float[Array, "g u 3"]
) -> Float[Array, "v g 3"]:
    """sum_u weights_u sh_u. As XLA differentiates it, it takes twice as long."""
    products = [w[..., None] * sh[:, u] for u, w in enumerate(weights)]
    return functools.reduce(jnp.add, products)


def _mixed_forward(
    weights: tuple[Float[Array, "v g"], ...], sh: Float[Array, "g u 3"]
) -> tuple[Float[Array, "v g 3"], Any]:
    return _mixed(weights, sh), (weights, sh)


def _mixed_backward(
    kept: Any, d_color: Float[Array, "v g 3"]
) -> tuple[tuple[Float[Array, "v g"], ...], Float[Array, "g u 3"]]:
    weights, sh = kept
    red, green, blue = numerics.components(d_color)
    d_weights = tuple(
        sh[:, u, 0] * red + sh[:, u, 1] * green + sh[:, u, 2] * blue
        for u in range(len(weights))
    )
    stacked = jnp.stack(weights, axis=-1)
    d_sh = jnp.einsum("vgu,vgc->guc", stacked, d_color, precision=HIGHEST)
    return d_weights, d_sh


_mixed.defvjp(_mixed_forward, _mixed_backward)


def sh_from_rgb(rgb: Float[AnyArray, "*b 3"]) -> Float[AnyArray, "*b 3"]:
    """The constant coefficient that shows `rgb` from everywhere."""
    return (rgb - 0.5) / DC


def rgb_from_sh(sh: Float[AnyArray, "*b 3"]) -> Float[AnyArray, "*b 3"]:
    """The color of a constant coefficient."""
    return sh * DC + 0.5
