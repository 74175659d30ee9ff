"""The T5 v1.1 encoder: token ids -> one embedding per token.

    x = table[ids];   bias = positions[bucket(j - i)], the same for all blocks
    each block, with no bias vector and no 1 / sqrt(e) anywhere:
        x += W_o softmax(q k^T + bias) v,       q, k, v = W rms(x)
        x += W_down (gelu(W_gate h) * W_up h),  h = rms(x)
    out = rms(x)

Every rms has a gain. Norms and softmax are in float32. (Raffel et al., 2020, Sec. 2.1;
Shazeer, 2020; transformers' T5EncoderModel.)
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from aw_jax.core.arrays import Array, Float, Int
from aw_jax.models.t5.config import T5Config
from aw_jax.nn import layers
from aw_jax.nn.norms import RMSNorm


class Projection(nnx.Module):
    """`x @ kernel`, the kernel stored as `[inputs, outputs]`, in the type of `x`."""

    def __init__(
        self, shape: tuple[int, int], *, rngs: nnx.Rngs, std: float, param_dtype: str
    ) -> None:
        drawn = std * jax.random.normal(rngs.params(), shape)
        self.kernel = nnx.Param(drawn.astype(jnp.dtype(param_dtype)))

    def __call__(self, x: Float[Array, "*b i"]) -> Float[Array, "*b o"]:
        """The linear image of `x`."""
        return x @ self.kernel[...].astype(x.dtype)


class SelfAttention(nnx.Module):
    """Attention among the tokens of a prompt, biased by their distance."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        width, inner = config.width, config.heads * config.head_dim
        types = {"rngs": rngs, "param_dtype": config.param_dtype}
        narrow = (width * config.head_dim) ** -0.5
        self.q = Projection((width, inner), std=narrow, **types)
        self.k = Projection((width, inner), std=width**-0.5, **types)
        self.v = Projection((width, inner), std=width**-0.5, **types)
        self.o = Projection((inner, width), std=inner**-0.5, **types)
        self.heads = config.heads

    def __call__(
        self, x: Float[Array, "b l d"], bias: Float[Array, "#b k l l"]
    ) -> Float[Array, "b l d"]:
        """What each token reads; `bias` is added to the scores of (asker, answerer)."""
        q, k, v = (
            project(x).reshape(*x.shape[:-1], self.heads, -1)
            for project in (self.q, self.k, self.v)
        )
        scores = jnp.einsum("bmke,bnke->bkmn", q, k, preferred_element_type=jnp.float32)
        weights = jax.nn.softmax(scores + bias, axis=-1).astype(v.dtype)
        read = jnp.einsum("bkmn,bnke->bmke", weights, v)
        return self.o(read.reshape(*x.shape[:-1], -1))


class GatedFeedForward(nnx.Module):
    """`down(gelu(gate(x)) * up(x))`, tanh form of GELU."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        width, hidden = config.width, config.hidden
        types = {"rngs": rngs, "param_dtype": config.param_dtype}
        self.gate = Projection((width, hidden), std=width**-0.5, **types)
        self.up = Projection((width, hidden), std=width**-0.5, **types)
        self.down = Projection((hidden, width), std=hidden**-0.5, **types)

    def __call__(self, x: Float[Array, "b l d"]) -> Float[Array, "b l d"]:
        """The image of every token by itself."""
        return self.down(jax.nn.gelu(self.gate(x), approximate=True) * self.up(x))


class Block(nnx.Module):
    """Self-attention and feed-forward, each after a norm."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        self.norm1, self.norm2 = _norm(config), _norm(config)
        self.attention = SelfAttention(config, rngs=rngs)
        self.ff = GatedFeedForward(config, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b l d"], bias: Float[Array, "#b k l l"]
    ) -> Float[Array, "b l d"]:
        """The tokens after this block."""
        x = x + self.attention(self.norm1(x).astype(x.dtype), bias)
        return x + self.ff(self.norm2(x).astype(x.dtype))


class T5Encoder(nnx.Module):
    """The whole network; its blocks are one module with a leading layer axis."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        self.table = _table((config.vocabulary, config.width), 1.0, config, rngs)
        spread = config.width**-0.5
        self.positions = _table((config.buckets, config.heads), spread, config, rngs)
        self.blocks = layers.stack(
            lambda rngs: Block(config, rngs=rngs), config.layers, rngs
        )
        self.norm = _norm(config)
        self.config = config

    def __call__(
        self, ids: Int[Array, "b l"], lengths: Int[Array, " b"]
    ) -> Float[Array, "b l d"]:
        """The embedding of every token, padding included, in `config.dtype`.

        Args:
            ids: rows of the token table, each prompt padded on the right.
            lengths: how many leading tokens of each prompt count; read only if
                `config.t5_mask`.
        """
        bias = self._bias(ids.shape[1])
        if self.config.t5_mask:
            seen = jnp.arange(ids.shape[1]) < lengths[:, None]
            bias = jnp.where(seen[:, None, None], bias, jnp.finfo(bias.dtype).min)
        x = self.table[...][ids].astype(jnp.dtype(self.config.dtype))

        def step(x: Array, block: Block) -> tuple[Array, None]:
            return block(x, bias), None

        x = jax.lax.scan(step, x, self.blocks)[0]
        return self.norm(x).astype(x.dtype)

    def _bias(self, length: int) -> Float[Array, "1 k l l"]:
        index = position_buckets(length, self.config)
        rows = self.positions[...].astype(jnp.float32)[index]
        return jnp.moveaxis(rows, -1, 0)[None]


def position_buckets(length: int, config: T5Config) -> Int[np.ndarray, "l l"]:
    """The bucket of answerer j as seen from asker i, at [i, j].

    Each side has half of the buckets: the first half of those for one distance each,
    the rest for distances that grow geometrically up to `max_distance`. The logarithms
    are rounded where torch rounds them.
    """
    side = config.buckets // 2
    exact = side // 2
    offset = np.arange(length)[None] - np.arange(length)[:, None]
    distance = abs(offset)
    growth = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(exact))
    growth = growth / np.float32(math.log(config.max_distance / exact))
    far = exact + (growth * np.float32(side - exact)).astype(np.int64)
    bucket = np.where(distance < exact, distance, np.minimum(far, side - 1))
    return bucket + side * (offset > 0)


def _norm(config: T5Config) -> RMSNorm:
    return RMSNorm(config.width, eps=config.eps, param_dtype=config.param_dtype)


def _table(
    shape: tuple[int, int], std: float, config: T5Config, rngs: nnx.Rngs
) -> nnx.Param:
    drawn = std * jax.random.normal(rngs.params(), shape)
    return nnx.Param(drawn.astype(jnp.dtype(config.param_dtype)))
