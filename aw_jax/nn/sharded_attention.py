"""Attention of tokens that are spread over devices along the sequence.

Flash kernels take whole sequences only. Each device therefore trades its share of the
tokens, all heads, for all tokens of its share of the heads, attends, and trades back
(Ulysses, arxiv.org/abs/2309.14509). A context that is short lies whole on every device,
and there is nothing to trade.
"""

import functools
import math

import jax
from jax.sharding import AbstractMesh, PartitionSpec

from aw_jax.core.arrays import Array, Float, Int
from aw_jax.nn.softmax_attention import Kernel, attend


def sharded_attend(
    q: Float[Array, "b m k e"],
    k: Float[Array, "b n k e"],
    v: Float[Array, "b n k e"],
    *,
    axis: str,
    spread_keys: bool,
    lengths: Int[Array, " b"] | None = None,
    kernel: Kernel = "auto",
) -> Float[Array, "b m k e"]:
    """`attend` with the m queries over mesh axis `axis`, samples over the other axes.

    Args:
        q: queries.
        k: keys; spread as the queries are if `spread_keys`, else whole everywhere.
        v: values, as the keys.
        axis: of the mesh in use (`jax.set_mesh`); it divides m and the heads.
        spread_keys: for self-attention.
        lengths: how many leading keys count, of keys that are not spread.
        kernel: what each device runs.
    """
    mesh = jax.sharding.get_abstract_mesh()
    samples = _axes_of_samples(mesh, axis, q.shape[0])
    tokens, whole = PartitionSpec(samples, axis), PartitionSpec(samples)
    keys = tokens if spread_keys else whole
    work = functools.partial(_attend, axis=axis if spread_keys else None, kernel=kernel)
    specs = (tokens, keys, keys, None if lengths is None else whole)
    return jax.shard_map(work, in_specs=specs, out_specs=tokens, check_vma=False)(
        q, k, v, lengths
    )


def _axes_of_samples(
    mesh: AbstractMesh, axis: str, samples: int
) -> tuple[str, ...] | None:
    """The axes other than `axis`, if they divide the samples together."""
    if axis not in mesh.shape:
        raise ValueError(
            f"attention over mesh axis {axis!r} needs a mesh in use that has it "
            f"(jax.set_mesh), got axes {tuple(mesh.shape)}."
        )
    others = tuple(name for name in mesh.axis_names if name != axis)
    count = math.prod(mesh.shape[name] for name in others)
    return others if others and samples % count == 0 else None


def _attend(
    q: Array,
    k: Array,
    v: Array,
    lengths: Array | None,
    *,
    axis: str | None,
    kernel: Kernel,
) -> Array:
    """On one device: heads for tokens, attention, tokens for heads."""
    if axis is None:
        return attend(q, k, v, lengths=lengths, kernel=kernel)
    trade = functools.partial(jax.lax.all_to_all, axis_name=axis, tiled=True)
    q, k, v = (trade(x, split_axis=2, concat_axis=1) for x in (q, k, v))
    read = attend(q, k, v, lengths=lengths, kernel=kernel)
    return trade(read, split_axis=1, concat_axis=2)
