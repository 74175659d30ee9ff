"""Softmax attention: one function, the kernel picked for the machine.

`rows` walks over heads and blocks of query rows with a plain softmax over all keys, and
computes the scores again in the backward pass: memory grows with the token count, not
its square, and the scores of a block stay in the cache of a CPU. `native` is the same
in C++ for CPUs, by tiles of keys too, in float32 and for one device. `plain` is the
textbook form. `cudnn` is the flash kernel of NVIDIA GPUs (16-bit types only).
"""

from typing import Literal

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Int
from aw_jax.nn import native_attention
from aw_jax.nn.row_attention import row_attention

Kernel = Literal["auto", "native", "rows", "plain", "xla", "cudnn"]
_SMALL = 256 * 256


def attend(
    q: Float[Array, "b m k e"],
    k: Float[Array, "b n k e"],
    v: Float[Array, "b n k e"],
    *,
    lengths: Int[Array, " b"] | None = None,
    kernel: Kernel = "auto",
) -> Float[Array, "b m k e"]:
    """Softmax(q k / sqrt(e)) v over the first `lengths` keys (all by default)."""
    if kernel == "auto":
        kernel = _pick(q, k)
    if kernel == "plain":
        return plain_attention(q, k, v, lengths=lengths)
    if kernel == "rows":
        return row_attention(q, k, v, lengths)
    if kernel == "native":
        return native_attention.native_attention(q, k, v, lengths)
    fused: Literal["xla", "cudnn"] = "cudnn" if kernel == "cudnn" else "xla"
    return jax.nn.dot_product_attention(
        q, k, v, key_value_seq_lengths=lengths, implementation=fused
    )


def _pick(q: Array, k: Array) -> Kernel:
    if jax.default_backend() == "gpu":
        half = q.dtype in (jnp.bfloat16, jnp.float16)
        return "cudnn" if half and q.shape[-1] % 8 == 0 else "xla"
    if q.shape[1] * k.shape[1] <= _SMALL:
        return "plain"
    if jax.default_backend() != "cpu":
        return "xla"
    # XLA would gather the arrays of all devices for a custom call.
    native = q.dtype == k.dtype == jnp.float32 and jax.device_count() == 1
    return "native" if native and native_attention.available() else "rows"


def plain_attention(
    q: Float[Array, "b m k e"],
    k: Float[Array, "b n k e"],
    v: Float[Array, "b n k e"],
    *,
    lengths: Int[Array, " b"] | None = None,
) -> Float[Array, "b m k e"]:
    """The definition, with all scores in memory; softmax in float32."""
    scores = jnp.einsum("bmke,bnke->bkmn", q, k, preferred_element_type=jnp.float32)
    scores = scores * q.shape[-1] ** -0.5
    if lengths is not None:
        seen = jnp.arange(k.shape[1]) < lengths[:, None]
        scores = jnp.where(seen[:, None, None], scores, -jnp.inf)
    weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    return jnp.einsum("bkmn,bnke->bmke", weights, v)
