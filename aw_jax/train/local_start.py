"""A start for small transformers: every block at work, every token at its own place.

LTX-Video starts with gates near zero and with attention that is the same everywhere.
A small model then spends its first thousand steps on finding out that a token of the
reference and a token of the target at one place belong together. Here all gates start
at one more, and queries and keys share a constant on the channels that turn with height
and width, so that attention begins within the same place, at all times; in every second
head, on those that turn with time too, so that it begins within the same frame. The
velocity starts at zero: where a path starts at an estimate, the first step already
knows what the estimate knows.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, PyTree
from aw_jax.models.ltx.config import TransformerConfig
from aw_jax.nn.layers import each

BIAS = 3.0
"""Of queries and keys, which are of order one before their norm."""
SHARPNESS = 1.5
"""Of the norms: logits of the own place stand 2.25 times as high."""
GATES = jnp.array([2, 5])
"""Rows of a block's table: of self-attention and of the feed-forward part."""


def local_start(params: PyTree, config: TransformerConfig) -> PyTree:
    """The parameters of a fresh transformer, made local.

    Args:
        params: nested dict with `blocks`, stacked or one by one; not changed.
        config: its sizes.
    """
    shared = jnp.asarray(BIAS * _local_channels(config), jnp.float32)
    blocks = each(params["blocks"], functools.partial(_local_block, shared=shared))
    silent = jax.tree.map(jnp.zeros_like, params["proj_out"])
    return params | {"blocks": blocks, "proj_out": silent}


def _local_block(block: PyTree, shared: Float[Array, " w"]) -> PyTree:
    """One block, or a stack of them; `shared` joins the bias of queries and keys."""
    change = {
        "to_q": lambda part: part | {"bias": part["bias"] + shared},
        "to_k": lambda part: part | {"bias": part["bias"] + shared},
        "norm_q": lambda part: part | {"weight": SHARPNESS * part["weight"]},
        "norm_k": lambda part: part | {"weight": SHARPNESS * part["weight"]},
    }
    attention = block["attn1"]
    changed = {name: change[name](attention[name]) for name in change}
    table: Array = block["scale_shift_table"]
    return block | {
        "attn1": attention | changed,
        "scale_shift_table": table.at[..., GATES, :].add(1),
    }


def _local_channels(config: TransformerConfig) -> Float[np.ndarray, " w"]:
    """1 on channels that turn with height and width, and time in every second head."""
    width, pairs = config.width, np.arange(config.width // 2)
    axis = (pairs - width % 6 // 2) % 3
    turns = pairs >= width % 6 // 2
    head = pairs // (config.head_dim // 2)
    chosen = turns & ((axis > 0) | (head % 2 == 1))
    return np.repeat(chosen, 2).astype(np.float32)
