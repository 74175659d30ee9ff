"""The LTX-Video diffusion transformer: tokens, coordinates, noise levels -> velocity.

    x = W_in tokens;   e = embed(1000 t);   a = modulation(silu(e));   c = project(text)
    each block, with (shift, scale, gate) x 2 = table + a of the token's own t:
        x += gate1 * self_attention(rms(x) (1 + scale1) + shift1, positions)
        x += cross_attention(x, c)
        x += gate2 * feed_forward(rms(x) (1 + scale2) + shift2)
    velocity = W_out (layer_norm(x) (1 + scale) + shift),   (shift, scale) = table' + e

A sequence is made of segments that share a noise level, so t is embedded once a segment
and spread over its tokens inside the block. (LTX-Video transformer3d.py.)
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from aw_jax.core.arrays import Array, Float, Int
from aw_jax.models.ltx.config import TransformerConfig
from aw_jax.nn import layers
from aw_jax.nn.attention import Attention
from aw_jax.nn.embeddings import TextProjection, TimeEmbedding
from aw_jax.nn.feedforward import FeedForward
from aw_jax.nn.linear import Linear, Types
from aw_jax.nn.norms import layer_norm, rms_norm
from aw_jax.nn.perturbation import Perturbation, perturbed
from aw_jax.nn.products import times_row
from aw_jax.nn.rope import Rotation, rotation


class Block(nnx.Module):
    """Self-attention, cross-attention, feed-forward, modulated by the noise level."""

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs) -> None:
        width = config.width
        types = Types(params=config.param_dtype, compute=config.dtype)

        def attention() -> Attention:
            return Attention(
                width,
                heads=config.heads,
                rngs=rngs,
                kernel=config.attention,
                types=types,
                sequence=config.sequence,
            )

        self.attn1, self.attn2 = attention(), attention()
        self.ff = FeedForward(width, rngs=rngs, types=types)
        self.scale_shift_table = _table(6, config, rngs)

    def __call__(
        self,
        x: Float[Array, "b m d"],
        shared: Float[Array, "b r 6 d"],
        text: Float[Array, "b l d"],
        turn: Rotation,
        lengths: Int[Array, " b"] | None,
        perturbation: Perturbation | None = None,
    ) -> Float[Array, "b m d"]:
        """The tokens after this block; `shared` holds one row per run of equal t."""
        table = self.scale_shift_table[...].astype(jnp.float32)
        shift1, scale1, gate1, shift2, scale2, gate2 = jnp.moveaxis(
            shared + table, -2, 0
        )
        given = x
        h = _modulated(rms_norm, x, shift1, scale1).astype(x.dtype)
        read = self.attn1(h, turn=turn, perturbation=perturbation)
        x = x + _per_run(read, gate1)
        x = x + self.attn2(x, text, lengths=lengths)
        h = _modulated(rms_norm, x, shift2, scale2).astype(x.dtype)
        x = x + _per_run(self.ff(h), gate2)
        return perturbed(x, given, perturbation, "transformer_block")


class Transformer(nnx.Module):
    """The whole network; its blocks are one stack, or unrolled one by one."""

    def __init__(self, config: TransformerConfig, *, rngs: nnx.Rngs) -> None:
        width = config.width
        types = Types(params=config.param_dtype, compute=config.dtype)
        self.proj_in = Linear(config.in_channels, width, rngs=rngs, types=types)
        self.time_embed = TimeEmbedding(
            width, rngs=rngs, param_dtype=config.param_dtype
        )
        self.caption_projection = TextProjection(
            config.caption_channels, width, rngs=rngs, types=types
        )
        blocks = layers.stack(
            lambda rngs: Block(config, rngs=rngs), config.layers, rngs
        )
        unroll = config.unroll
        self.blocks = layers.one_by_one(blocks, config.layers) if unroll else blocks
        self.scale_shift_table = _table(2, config, rngs)
        small = jax.nn.initializers.normal(0.02)
        self.proj_out = Linear(
            width, config.out_channels, rngs=rngs, types=types, kernel_init=small
        )
        self.config = config

    def __call__(
        self,
        tokens: Float[Array, "b m c"],
        coords: Float[Array, "#b m 3"],
        timesteps: Float[Array, "b s"],
        text: Float[Array, "b l x"],
        *,
        text_lengths: Int[Array, " b"] | None = None,
        segments: Sequence[int] | None = None,
        perturbation: Perturbation | None = None,
    ) -> Float[Array, "b m o"]:
        """The velocity (noise minus data) of every token.

        Args:
            tokens: latent tokens, segment after segment.
            coords: seconds, row and column of each token (positions.py).
            timesteps: noise level in [0, 1], one per segment; without `segments`, one
                for all tokens (s = 1) or one for each (s = m).
            text: prompt embeddings, padded to a common length.
            text_lengths: how many leading prompt tokens count; all by default.
            segments: token counts of the segments, static, m in total.
            perturbation: rows [layers, b] whose self-attention is perturbed.

        Raises:
            ValueError: `segments` and the shapes contradict each other.
        """
        index = _level_of_run(segments, timesteps.shape[1], tokens.shape[1])
        embedding, shared = self.time_embed(timesteps * self.config.timestep_scale)
        embedding, shared = embedding[:, index], shared[:, index]
        fractions = coords / jnp.asarray(self.config.max_position, jnp.float32)
        turn = rotation(fractions, width=self.config.width, theta=self.config.theta)
        text = self.caption_projection(text)
        context = (shared, text, turn, text_lengths)
        x = self._through(self.proj_in(tokens), perturbation, *context)
        table = self.scale_shift_table[...].astype(jnp.float32)
        shift, scale = jnp.moveaxis(embedding[:, :, None] + table, -2, 0)
        return self.proj_out(_modulated(layer_norm, x, shift, scale))

    def _through(
        self, x: Array, perturbation: Perturbation | None, *inputs: Any
    ) -> Array:
        def step(
            x: Array, layer: tuple[Block, Perturbation | None]
        ) -> tuple[Array, None]:
            block, perturbation = layer
            return block(x, *inputs, perturbation), None

        body = jax.checkpoint(step) if self.config.remat else step
        if isinstance(self.blocks, Block):
            return jax.lax.scan(body, x, (self.blocks, perturbation))[0]
        for index, block in enumerate(self.blocks):
            x, _ = body(x, (block, layers.layer(perturbation, index)))
        return x


def _table(rows: int, config: TransformerConfig, rngs: nnx.Rngs) -> nnx.Param:
    values = jax.random.normal(rngs.params(), (rows, config.width))
    return nnx.Param((values / math.sqrt(config.width)).astype(config.param_dtype))


def _level_of_run(
    segments: Sequence[int] | None, levels: int, tokens: int
) -> np.ndarray:
    """Which noise level each of the equal runs has that the tokens fall into.

    The run length is the greatest common divisor of the segments, so that spreading a
    level over its tokens is a reshape and a broadcast, never a gather per token.
    """
    if segments is None:
        segments = (tokens // levels,) * levels if levels in (1, tokens) else ()
    if len(segments) != levels or sum(segments) != tokens:
        raise ValueError(
            f"timesteps need 1, {tokens} or len(segments) columns and segments must "
            f"sum to {tokens} tokens, got {levels} columns and {tuple(segments)}."
        )
    run = math.gcd(*segments)
    return np.repeat(np.arange(levels), [count // run for count in segments])


def _modulated(
    norm: Callable[..., Array],
    x: Float[Array, "b m d"],
    shift: Float[Array, "b r d"],
    scale: Float[Array, "b r d"],
) -> Float[Array, "b m d"]:
    """`norm(x) (1 + scale) + shift`, each row of the two over its run of tokens."""
    runs = x.reshape(x.shape[0], shift.shape[1], -1, x.shape[-1])
    runs = norm(runs, 1 + scale[:, :, None], eps=1e-6)
    return (runs + shift[:, :, None]).reshape(x.shape)


def _per_run(
    x: Float[Array, "b m d"], gate: Float[Array, "b r d"]
) -> Float[Array, "b m d"]:
    """`gate x`, each row of the gate over its run of tokens, in the type of `x`."""
    runs = x.reshape(x.shape[0], gate.shape[1], -1, x.shape[-1])
    return times_row(runs, gate).reshape(x.shape).astype(x.dtype)
