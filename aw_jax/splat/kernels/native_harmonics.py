"""Sums of spherical harmonics on the CPU by `harmonics.cc`, as XLA custom calls."""

from typing import Any

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Int
from aw_jax.splat.kernels.native import HARMONICS_BACKWARD, HARMONICS_FORWARD

Vector = tuple[Float[Array, "v g"], Float[Array, "v g"], Float[Array, "v g"]]


@jax.custom_vjp
def mixed(
    sh: Float[Array, "g u 3"], direction: Vector, count: Int[Array, ""]
) -> Float[Array, "v g 3"]:
    """sum_u basis_u(direction) sh_u over the first `count` harmonics, degree 3 at most.

    float32; `direction` has unit length. Both have gradients.
    """
    return _forward(sh, *direction, jnp.asarray(count, jnp.int32))


def _mixed_forward(
    sh: Float[Array, "g u 3"], direction: Vector, count: Int[Array, ""]
) -> tuple[Float[Array, "v g 3"], Any]:
    return mixed(sh, direction, count), (sh, direction, count)


def _mixed_backward(
    kept: Any, d_color: Float[Array, "v g 3"]
) -> tuple[Float[Array, "g u 3"], Vector, None]:
    sh, direction, count = kept
    shapes = tuple(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (sh, *direction))
    call = jax.ffi.ffi_call(HARMONICS_BACKWARD, shapes, vmap_method="sequential")
    d_sh, x, y, z = call(sh, *direction, jnp.asarray(count, jnp.int32), d_color)
    return d_sh, (x, y, z), None


mixed.defvjp(_mixed_forward, _mixed_backward)


def _call(
    sh: Float[Array, "g u 3"],
    x: Float[Array, "v g"],
    y: Float[Array, "v g"],
    z: Float[Array, "v g"],
    count: Int[Array, ""],
) -> Float[Array, "v g 3"]:
    shape = jax.ShapeDtypeStruct((*x.shape, 3), jnp.float32)
    call = jax.ffi.ffi_call(HARMONICS_FORWARD, shape, vmap_method="sequential")
    return call(sh, x, y, z, count)


_forward = jax.custom_batching.custom_vmap(_call)


@_forward.def_vmap
def _folded(
    size: int, batched: list[bool], sh: Array, *rest: Array
) -> tuple[Array, bool]:
    """One call with more views if all share their Gaussians, else one after another.

    `rest`: x, y, z and the count.
    """
    if batched[0] or batched[-1]:
        axes = [0 if b else None for b in batched]
        return jax.vmap(_call, in_axes=axes)(sh, *rest), True
    *direction, count = rest
    full = [
        x if b else jnp.broadcast_to(x, (size, *x.shape))
        for x, b in zip(direction, batched[1:-1], strict=True)
    ]
    color = _call(sh, *(x.reshape(-1, x.shape[-1]) for x in full), count)
    return color.reshape(size, -1, *color.shape[1:]), True
