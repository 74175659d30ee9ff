"""What a noise level and a prompt become before the blocks see them."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from aw_jax.core.arrays import Array, Float
from aw_jax.nn.linear import FLOAT32, Linear, Types

SINUSOID = 256


def sinusoid(x: Float[Array, "*b"], *, width: int = SINUSOID) -> Float[Array, "*b d"]:
    """[cos, sin] of `x` at width / 2 frequencies falling from 1 towards 1e-4.

    The frequencies are rounded where torch rounds them: x goes to 1000.
    """
    index = np.arange(width // 2, dtype=np.float32)
    exponents = np.float32(-np.log(1e4)) * index / np.float32(width // 2)
    falling = np.exp(exponents.astype(np.float64)).astype(np.float32)
    angles = x.astype(jnp.float32)[..., None] * falling
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


class TimeEmbedding(nnx.Module):
    """AdaLN-single: one embedding of t and the six modulations all blocks share.

    Always computed in float32. (PixArt-alpha; upstream `adaln_single`.)
    """

    def __init__(
        self, width: int, *, rngs: nnx.Rngs, param_dtype: str = "float32"
    ) -> None:
        def layer(inputs: int, outputs: int) -> Linear:
            small = jax.nn.initializers.normal(0.02)
            types = Types(params=param_dtype)
            return Linear(inputs, outputs, rngs=rngs, types=types, kernel_init=small)

        self.linear_1 = layer(SINUSOID, width)
        self.linear_2 = layer(width, width)
        self.modulation = layer(width, 6 * width)

    def __call__(
        self, steps: Float[Array, "b s"]
    ) -> tuple[Float[Array, "b s d"], Float[Array, "b s 6 d"]]:
        """The embedding and the modulations at `steps` (thousandths: 1000 is noise)."""
        embedding = self.linear_2(jax.nn.silu(self.linear_1(sinusoid(steps))))
        shared = self.modulation(jax.nn.silu(embedding))
        return embedding, shared.reshape(*embedding.shape[:-1], 6, -1)


class TextProjection(nnx.Module):
    """Brings prompt embeddings to the width of the blocks."""

    def __init__(
        self,
        text_width: int,
        width: int,
        *,
        rngs: nnx.Rngs,
        types: Types = FLOAT32,
    ) -> None:
        self.linear_1 = Linear(text_width, width, rngs=rngs, types=types)
        self.linear_2 = Linear(width, width, rngs=rngs, types=types)

    def __call__(self, text: Float[Array, "b l x"]) -> Float[Array, "b l d"]:
        """The projected prompt."""
        return self.linear_2(jax.nn.gelu(self.linear_1(text), approximate=True))
