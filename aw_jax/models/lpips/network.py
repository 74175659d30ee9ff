"""Learned perceptual distance of images (Zhang et al., 2018), as a number or a map.

A trunk turns an image into five feature maps. Each is divided by its length along
channels; the squared difference between two images, weighted by a linear head, is one
layer's map. A *distance* is the sum over layers of each map's mean; a *distance map* is
the sum over layers of the maps, upsampled bilinearly to the image.

Four nets, two families that are never mixed: `lpips-vgg` and `lpips-alex` are the
official ones on ImageNet trunks; `st-lpips-vgg` and `st-lpips-alex` are the
shift-tolerant ones of Ghildyal & Liu (2022), whose trunks blur before they subsample
and were trained for the metric. Their figures cannot be compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float
from aw_jax.core.pytrees import pytree, static

Range: TypeAlias = Literal["[-1,1]", "[0,1]"]
"""What the trunk is fed for an image in [0, 1]: `[-1,1]` is what the nets were made
for; `[0,1]` feeds the image as it is, the habit of the 3DGS papers."""

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


@dataclass(frozen=True)
class Conv:
    """A square convolution with bias."""

    features: int
    window: int = 3
    stride: int = 1
    padding: int = 1


@dataclass(frozen=True)
class MaxPool:
    """The largest value in each square window, without padding."""

    window: int
    stride: int


@dataclass(frozen=True)
class Relu:
    """Negative values become zero."""


@dataclass(frozen=True)
class Blur:
    """[1, 2, 1] / 4 along rows and columns, reflected at the rim, every second kept."""


Op: TypeAlias = Conv | MaxPool | Relu | Blur
Architecture: TypeAlias = tuple[tuple[Op, ...], ...]


def _vgg16(*pool: Op) -> Architecture:
    widths = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
    stages = [(Conv(features), Relu()) * depth for features, depth in widths]
    return (stages[0], *((*pool, *stage) for stage in stages[1:]))


def _alexnet(first: tuple[Op, ...], *pool: Op) -> Architecture:
    return (
        first,
        (*pool, Conv(192, 5, padding=2), Relu()),
        (*pool, Conv(384), Relu()),
        (Conv(256), Relu()),
        (Conv(256), Relu()),
    )


ARCHITECTURES: dict[str, Architecture] = {
    "lpips-vgg": _vgg16(MaxPool(2, 2)),
    "lpips-alex": _alexnet((Conv(64, 11, 4, 2), Relu()), MaxPool(3, 2)),
    "st-lpips-vgg": _vgg16(MaxPool(2, 1), Blur()),
    "st-lpips-alex": _alexnet(
        (Conv(64, 11, 1, 2), Blur(), Relu()), MaxPool(3, 1), Blur()
    ),
}
"""Five stages a net, tapped after each. The position of a convolution in the
concatenated stages is its index in the upstream state dictionaries."""

Features: TypeAlias = tuple[Float[Array, "_ _ _ _"], ...]
"""One map a stage, `b h w c`, of unit length along channels."""


@pytree
class Lpips:
    """One net with its weights."""

    name: str = static()
    """A key of `ARCHITECTURES`; it stands beside every figure."""
    kernels: tuple[Float[Array, "_ _ _ _"], ...]
    """Convolutions in order: row, column, input channel, output channel."""
    biases: tuple[Float[Array, " _"], ...]
    heads: tuple[Float[Array, " _"], ...]
    """Non-negative channel weights, one vector a stage."""


@partial(jax.jit, static_argnames="fed")
def features(net: Lpips, images: Float[Array, "b h w 3"], *, fed: Range) -> Features:
    """The five feature maps of images in [0, 1], unit length along channels."""
    x = 2 * images - 1 if fed == "[-1,1]" else images
    x = (x - jnp.asarray(SHIFT)) / jnp.asarray(SCALE)
    weights = zip(net.kernels, net.biases, strict=True)
    taps = []
    for stage in ARCHITECTURES[net.name]:
        for op in stage:
            x = _apply(op, x, weights)
        taps.append(_unit(x))
    return tuple(taps)


@jax.jit
def distance(net: Lpips, a: Features, b: Features) -> Float[Array, " b"]:
    """LPIPS of each pair: the sum over layers of the mean of each layer's map."""
    maps = _layer_maps(net, a, b)
    return jnp.stack([m.mean((1, 2)) for m in maps]).sum(0)


@partial(jax.jit, static_argnames="size")
def distance_map(
    net: Lpips, a: Features, b: Features, *, size: tuple[int, int]
) -> Float[Array, "b h w"]:
    """The sum over layers of the maps, upsampled to `size` (rows, columns)."""
    return sum(
        (
            jax.image.resize(m, (m.shape[0], *size), "bilinear", antialias=False)
            for m in _layer_maps(net, a, b)
        ),
        start=jnp.zeros(()),
    )


def smallest_side(name: str) -> int:
    """The shortest image side the net `name` can take, in pixels."""
    return next(side for side in range(1, 256) if _side_after(name, side) >= 1)


def _layer_maps(net: Lpips, a: Features, b: Features) -> list[Float[Array, "_ _ _"]]:
    return [
        jnp.einsum("bhwc,c->bhw", jnp.square(x - y), head)
        for x, y, head in zip(a, b, net.heads, strict=True)
    ]


def _unit(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    length = jnp.sqrt(jnp.sum(x * x, axis=-1, keepdims=True) + 1e-24)
    return x / (length + 1e-10)


def _apply(
    op: Op, x: Float[Array, "b h w c"], weights: Iterator[tuple[Array, Array]]
) -> Float[Array, "b i j d"]:
    match op:
        case Conv():
            return _convolve(op, x, *next(weights))
        case MaxPool():
            return _pool(op, x)
        case Blur():
            return _blur(x)
        case Relu():
            return jax.nn.relu(x)


def _convolve(
    op: Conv, x: Float[Array, "b h w c"], kernel: Array, bias: Array
) -> Float[Array, "b i j d"]:
    padding = (op.padding, op.padding)
    out = jax.lax.conv_general_dilated(
        x,
        kernel,
        (op.stride, op.stride),
        (padding, padding),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=jax.lax.Precision.HIGHEST,
    )
    return out + bias


def _pool(op: MaxPool, x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
    for axis in (1, 2):
        length = (x.shape[axis] - op.window) // op.stride + 1
        parts = [_every(x, i, length, op.stride, axis) for i in range(op.window)]
        x = jnp.stack(parts).max(0)
    return x


def _blur(x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
    x = jnp.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    for axis in (1, 2):
        length = (x.shape[axis] - 3) // 2 + 1
        a, b, c = (_every(x, i, length, 2, axis) for i in range(3))
        x = 0.25 * (a + c) + 0.5 * b
    return x


def _every(x: Array, start: int, length: int, stride: int, axis: int) -> Array:
    stop = start + (length - 1) * stride + 1
    return jax.lax.slice_in_dim(x, start, stop, stride, axis)


def _side_after(name: str, side: int) -> int:
    for op in (op for stage in ARCHITECTURES[name] for op in stage):
        match op:
            case Conv():
                side = (side + 2 * op.padding - op.window) // op.stride + 1
            case MaxPool():
                side = (side - op.window) // op.stride + 1
            case Blur():
                side = (side + 1) // 2 + 1 if side >= 3 else 0
        if side < 1:
            return 0
    return side
