"""The two-layer network of a block."""

import jax
from flax import nnx

from aw_jax.core.arrays import Array, Float
from aw_jax.nn.linear import FLOAT32, Linear, Types


class FeedForward(nnx.Module):
    """`down(gelu(up(x)))`, four times as wide inside, tanh form of GELU."""

    def __init__(self, width: int, *, rngs: nnx.Rngs, types: Types = FLOAT32) -> None:
        self.up = Linear(width, 4 * width, rngs=rngs, types=types)
        self.down = Linear(4 * width, width, rngs=rngs, types=types)

    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """The image of every token by itself."""
        return self.down(jax.nn.gelu(self.up(x), approximate=True))
