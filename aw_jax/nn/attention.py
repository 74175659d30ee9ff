"""Multi-head attention with queries and keys normalised over all heads at once."""

import functools

import jax.numpy as jnp
from flax import nnx

from aw_jax.core.arrays import Array, Float, Int
from aw_jax.nn.linear import FLOAT32, Linear, Types
from aw_jax.nn.norms import RMSNorm
from aw_jax.nn.perturbation import Perturbation, perturbed
from aw_jax.nn.rope import Rotation, rotate
from aw_jax.nn.sharded_attention import sharded_attend
from aw_jax.nn.softmax_attention import Kernel, attend


class Attention(nnx.Module):
    """Self-attention, or attention of tokens to a context (LTX-Video `attn1`, `attn2`).

    q and k pass an RMS norm over the whole width, and turn by their position, before
    the heads are split.
    """

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        rngs: nnx.Rngs,
        kernel: Kernel = "auto",
        types: Types = FLOAT32,
        sequence: str | None = None,
    ) -> None:
        """`sequence` names the mesh axis that tokens are spread over, if any."""
        self.to_q = Linear(width, width, rngs=rngs, types=types)
        self.to_k = Linear(width, width, rngs=rngs, types=types)
        self.to_v = Linear(width, width, rngs=rngs, types=types)
        self.to_out = Linear(width, width, rngs=rngs, types=types)
        self.norm_q = RMSNorm(width, eps=1e-5, param_dtype=types.params)
        self.norm_k = RMSNorm(width, eps=1e-5, param_dtype=types.params)
        self.heads, self.kernel, self.dtype = heads, kernel, types.compute
        self.sequence = sequence

    def __call__(
        self,
        x: Float[Array, "b m d"],
        context: Float[Array, "b l d"] | None = None,
        *,
        turn: Rotation | None = None,
        lengths: Int[Array, " b"] | None = None,
        perturbation: Perturbation | None = None,
    ) -> Float[Array, "b m d"]:
        """What each token reads from `context` (itself by default).

        Args:
            x: the tokens that ask.
            context: the tokens that answer.
            turn: positions of the tokens, for self-attention.
            lengths: how many leading context tokens count.
            perturbation: rows that do without attention, for self-attention.
        """
        own = context is None
        context = x if context is None else context
        if context.shape[1] == 1 and perturbation is None:
            # A softmax over one key is 1, whatever the question.
            read = self.to_out(self.to_v(context))
            return jnp.broadcast_to(read, x.shape)
        q, k = self.norm_q(self.to_q(x)), self.norm_k(self.to_k(context))
        if turn is not None:
            q, k = rotate(q, turn), rotate(k, turn)
        q, k, v = (self._split(a) for a in (q, k, self.to_v(context)))
        work = attend
        if self.sequence is not None:
            work = functools.partial(
                sharded_attend, axis=self.sequence, spread_keys=own
            )
        read = work(q, k, v, lengths=lengths, kernel=self.kernel).reshape(x.shape)
        if perturbation is not None:
            values = v.reshape(context.shape)
            read = perturbed(read, values, perturbation, "attention_values")
            read = perturbed(read, x, perturbation, "attention_skip")
        return self.to_out(read)

    def _split(self, x: Float[Array, "b n d"]) -> Float[Array, "b n k e"]:
        x = x.astype(jnp.dtype(self.dtype))
        return x.reshape(*x.shape[:-1], self.heads, -1)
