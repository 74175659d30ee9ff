"""The two-layer network of a block."""

import math

import jax
import jax.numpy as jnp
from flax import nnx

from aw_jax.core.arrays import Array, Float
from aw_jax.nn.linear import FLOAT32, Linear, Types

_SLOPE, _CUBE = math.sqrt(2 / math.pi), 0.044715


class FeedForward(nnx.Module):
    """`down(gelu(up(x)))`, four times as wide inside, tanh form of GELU."""

    def __init__(self, width: int, *, rngs: nnx.Rngs, types: Types = FLOAT32) -> None:
        self.up = Linear(width, 4 * width, rngs=rngs, types=types)
        self.down = Linear(4 * width, width, rngs=rngs, types=types)

    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """The image of every token by itself."""
        return self.down(gelu(self.up(x)))


@jax.custom_vjp
def gelu(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """`x / 2 (1 + tanh u)`, u = sqrt(2 / pi) (x + 0.044715 x^3).

    Its gradient takes tanh again: keeping it costs more on a CPU, of memory and, where
    that is fresh, of time.
    """
    return jax.nn.gelu(x, approximate=True)


def _forward(x: Array) -> tuple[Array, Array]:
    return gelu(x), x


def _backward(x: Array, cotangent: Array) -> tuple[Array]:
    """`1/2 (1 + t) + x / 2 (1 - t^2) u'`."""
    t = jnp.tanh(_SLOPE * (x + _CUBE * x**3))
    slope = _SLOPE * (1 + 3 * _CUBE * x**2)
    return (cotangent * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope),)


gelu.defvjp(_forward, _backward)
