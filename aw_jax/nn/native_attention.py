"""Attention on the CPU by `attention.cc`, as XLA custom calls, in float32.

Nothing of the size of the scores is ever in memory, and the bits do not depend on the
number of threads. XLA does not partition a custom call: for one device, or within
`shard_map`.
"""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, Int
from aw_jax.core.errors import UserError
from aw_jax.native import build

FORWARD, BACKWARD = "aw_attention_forward", "aw_attention_backward"
TILE = 96
"""Tokens packed together: `kTile` of packed.h."""
PANEL = 32
"""The width is filled up to a multiple of this at most, for the widest lanes."""
TASKS, TASK_TILES = 16, 4
"""The gradient is cut into tasks, this many if each has so many tiles of keys."""


@functools.cache
def available() -> bool:
    """Whether the kernel can be used; compiles and registers it when first asked."""
    return build.register(Path(__file__).parent, (FORWARD, BACKWARD))


def native_attention(
    q: Float[Array, "b m k e"],
    k: Float[Array, "b n k e"],
    v: Float[Array, "b n k e"],
    lengths: Int[Array, " b"] | None = None,
) -> Float[Array, "b m k e"]:
    """Softmax(q k / sqrt(e)) v over the first `lengths` keys, by the C++ kernel."""
    if not available():
        raise UserError(
            'kernel: "native" expected a compiled kernel, got none (see the warning '
            "above); install g++ or choose kernel='rows'."
        )
    if lengths is None:
        lengths = jnp.full(q.shape[0], k.shape[1])
    inputs = (x.astype(jnp.float32) for x in (q, k, v))
    return _attention(*inputs, lengths.astype(jnp.int32)).astype(q.dtype)


@jax.custom_vjp
def _attention(q: Array, k: Array, v: Array, lengths: Array) -> Array:
    return _forward(q, k, v, lengths)[0]


def _tile_floats(x: Float[Array, "b n k e"]) -> int:
    return TILE * -(-x.shape[-1] // PANEL) * PANEL


def _tiles(x: Float[Array, "b n k e"]) -> int:
    return -(-x.shape[1] // TILE)


def _float32(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def _forward(q: Array, k: Array, v: Array, lengths: Array) -> tuple[Array, Any]:
    samples, queries, heads, _ = q.shape
    packed = _float32(samples, heads * _tiles(k) * 2 * _tile_floats(k))
    shapes = (_float32(*q.shape), _float32(samples, heads, queries), packed)
    call = jax.ffi.ffi_call(FORWARD, shapes, vmap_method="broadcast_all")
    out, lse, _ = call(q, k, v, lengths)
    return out, (q, k, v, lengths, out, lse)


def _backward(kept: Any, d_out: Array) -> tuple[Array, Array, Array, None]:
    q, k, v, *_ = kept
    samples, _, heads, _ = q.shape
    parts = -(-TASKS // (samples * heads))
    parts = min(parts, -(-_tiles(k) // TASK_TILES))
    floats = (2 + parts) * _tile_floats(q) + 2 * TILE
    packed = _float32(samples, heads * _tiles(q) * floats)
    shapes = (*(_float32(*x.shape) for x in (q, k, v)), packed)
    call = jax.ffi.ffi_call(BACKWARD, shapes, vmap_method="broadcast_all")
    d_q, d_k, d_v, _ = call(*kept, d_out, parts=np.int64(parts))
    return d_q, d_k, d_v, None


_attention.defvjp(_forward, _backward)
