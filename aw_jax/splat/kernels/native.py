"""Compositing on the CPU by `composite.cc`, as XLA custom calls.

Sizes are dynamic inside the call, so no capacity is needed and nothing overflows; the
images and gradients do not depend on the number of threads, to the last bit.
"""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Bool, Float, Int
from aw_jax.core.errors import UserError
from aw_jax.native import build

FORWARD, BACKWARD = "aw_composite_forward", "aw_composite_backward"
HARMONICS_FORWARD = "aw_harmonics_forward"
HARMONICS_BACKWARD = "aw_harmonics_backward"
MAX_CHANNELS = 32


@functools.cache
def available() -> bool:
    """Whether the kernels can be used; compiles and registers them when first asked."""
    names = (FORWARD, BACKWARD, HARMONICS_FORWARD, HARMONICS_BACKWARD)
    return build.register(Path(__file__).parent, names, *build.MATHS)


def forward(
    means2d: Float[Array, "v g 2"],
    conics: Float[Array, "v g 3"],
    opacities: Float[Array, "v g"],
    features: Float[Array, "v g c"],
    depths: Float[Array, "v g"],
    radii: Float[Array, "v g 2"],
    *,
    width: int,
    height: int,
    max_alpha: float,
    capacity: int | None = None,
) -> tuple[
    Float[Array, "v h w c"],
    Float[Array, "v h w"],
    Int[Array, " v"],
    Bool[Array, " v"],
]:
    """Blended features, remaining transmittance, (gaussian, tile) pairs, overflow.

    `capacity` is ignored and overflow always False. Gaussians that are culled (a radius
    of 0), not finite, or whose conic rounding has made indefinite are not drawn.
    """
    del capacity
    features_out, transmittance, counts = _forward(
        means2d, conics, opacities, features, depths, radii, width, height, max_alpha
    )
    return features_out, transmittance, counts[:, 0], jnp.zeros(counts.shape[0], bool)


def lanes_evaluated(
    means2d: Float[Array, "v g 2"],
    conics: Float[Array, "v g 3"],
    opacities: Float[Array, "v g"],
    features: Float[Array, "v g c"],
    depths: Float[Array, "v g"],
    radii: Float[Array, "v g 2"],
    *,
    width: int,
    height: int,
    max_alpha: float,
) -> Int[Array, " v"]:
    """(gaussian, pixel) pairs that `forward` computes, the useless ones included."""
    inputs = (means2d, conics, opacities, features, depths, radii)
    return _forward(*inputs, width, height, max_alpha)[2][:, 1]


def backward(
    means2d: Float[Array, "v g 2"],
    conics: Float[Array, "v g 3"],
    opacities: Float[Array, "v g"],
    features: Float[Array, "v g c"],
    depths: Float[Array, "v g"],
    radii: Float[Array, "v g 2"],
    features_out: Float[Array, "v h w c"],
    transmittance: Float[Array, "v h w"],
    d_features_out: Float[Array, "v h w c"],
    d_transmittance: Float[Array, "v h w"],
    *,
    width: int,
    height: int,
    max_alpha: float,
    capacity: int | None = None,
) -> tuple[
    Float[Array, "v g 2"],
    Float[Array, "v g 3"],
    Float[Array, "v g"],
    Float[Array, "v g c"],
]:
    """Cotangents of means2d, conics, opacities and features.

    `features_out` and `transmittance` must be what `forward` returned for these inputs.
    """
    del capacity, width, height
    inputs = (means2d, conics, opacities, features, depths, radii)
    outputs = (features_out, transmittance, d_features_out, d_transmittance)
    return _backward(*inputs, *outputs, max_alpha)


@functools.partial(jax.jit, static_argnames=("width", "height", "max_alpha"))
def _forward(
    means2d: Float[Array, "v g 2"],
    conics: Float[Array, "v g 3"],
    opacities: Float[Array, "v g"],
    features: Float[Array, "v g c"],
    depths: Float[Array, "v g"],
    radii: Float[Array, "v g 2"],
    width: int,
    height: int,
    max_alpha: float,
) -> tuple[Float[Array, "v h w c"], Float[Array, "v h w"], Int[Array, "v 2"]]:
    views, _, channels = _checked(features).shape
    image = (views, height, width)
    shapes = (
        jax.ShapeDtypeStruct((*image, channels), jnp.float32),
        jax.ShapeDtypeStruct(image, jnp.float32),
        jax.ShapeDtypeStruct((views, 2), jnp.int32),
    )
    call = jax.ffi.ffi_call(FORWARD, shapes, vmap_method="broadcast_all")
    arrays = _float32(means2d, conics, opacities, features, depths)
    features_out, transmittance, counts = call(
        *arrays, radii.astype(jnp.int32), max_alpha=np.float32(max_alpha)
    )
    return features_out, transmittance, counts


@functools.partial(jax.jit, static_argnames="max_alpha")
def _backward(
    means2d: Float[Array, "v g 2"],
    conics: Float[Array, "v g 3"],
    opacities: Float[Array, "v g"],
    features: Float[Array, "v g c"],
    depths: Float[Array, "v g"],
    radii: Float[Array, "v g 2"],
    features_out: Float[Array, "v h w c"],
    transmittance: Float[Array, "v h w"],
    d_features_out: Float[Array, "v h w c"],
    d_transmittance: Float[Array, "v h w"],
    max_alpha: float,
) -> tuple[
    Float[Array, "v g 2"],
    Float[Array, "v g 3"],
    Float[Array, "v g"],
    Float[Array, "v g c"],
]:
    shapes = tuple(
        jax.ShapeDtypeStruct(x.shape, jnp.float32)
        for x in (means2d, conics, opacities, _checked(features))
    )
    call = jax.ffi.ffi_call(BACKWARD, shapes, vmap_method="broadcast_all")
    arrays = _float32(means2d, conics, opacities, features, depths)
    images = _float32(features_out, transmittance, d_features_out, d_transmittance)
    radii = radii.astype(jnp.int32)
    d_means2d, d_conics, d_opacities, d_features = call(
        *arrays, radii, *images, max_alpha=np.float32(max_alpha)
    )
    return d_means2d, d_conics, d_opacities, d_features


def _checked(features: Float[Array, "v g c"]) -> Float[Array, "v g c"]:
    if features.shape[-1] > MAX_CHANNELS:
        raise ValueError(
            f"features: the native backend blends at most {MAX_CHANNELS} channels, got "
            f"{features.shape[-1]}; blend them in groups."
        )
    if not available():
        raise UserError(
            'RenderSettings.backend: "native" expected compiled kernels, got none '
            "(see the warning above); install g++ or choose backend='xla'."
        )
    return features


def _float32(*arrays: Float[Array, "..."]) -> tuple[Float[Array, "..."], ...]:
    return tuple(x.astype(jnp.float32) for x in arrays)
