"""Layers of one shape, in either of the two forms a network holds them in.

    stacked        blocks.ff.up.kernel      [layers, inputs, outputs]
    one by one     blocks.3.ff.up.kernel    [inputs, outputs]

A scan compiles one layer for all and takes a slice of the stack at each turn. Compiled
one by one, a stack would cost a copy of every kernel on the way forth and of every
gradient on the way back, so there each layer is a module of its own. The values are the
same; files name layers singly, and checkpoints of training hold stacks, whichever form
the network has.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

from aw_jax.core.arrays import Array, PyTree

M = TypeVar("M", bound=nnx.Module)
BLOCKS = "blocks"
"""What a network calls its layers."""


def stack(build: Callable[[nnx.Rngs], M], count: int, rngs: nnx.Rngs) -> M:
    """`count` layers as one module whose arrays have a leading layer axis."""

    @nnx.split_rngs(splits=count)
    @nnx.vmap(in_axes=0, out_axes=0)
    def several(rngs: nnx.Rngs) -> M:
        return build(rngs)

    return several(rngs)


def one_by_one(stacked: nnx.Module, count: int) -> nnx.List:
    """The layers of a stack as modules of their own."""
    graphdef, state = nnx.split(stacked)
    return nnx.List(nnx.merge(graphdef, layer(state, i)) for i in range(count))


def layer(tree: PyTree, index: int) -> PyTree:
    """What a tree of stacked arrays holds of one layer."""
    return jax.tree.map(lambda array: array[index], tree)


def is_stacked(path: str) -> bool:
    """Whether the parameter at this dotted path has a leading layer axis."""
    return re.match(rf"{BLOCKS}\.(?!\d)", path) is not None


def each(blocks: PyTree, change: Callable[[PyTree], PyTree]) -> PyTree:
    """Changed parameters of blocks; `change` must not care for leading axes."""
    if _are_single(blocks):
        return {index: change(block) for index, block in blocks.items()}
    return change(blocks)


def as_stacks(tree: PyTree) -> PyTree:
    """`tree`, with the blocks of every network's parameters in it stacked."""

    def one(params: Any) -> Any:
        if not (_is_dict(params) and _are_single(blocks := params.get(BLOCKS))):
            return params
        ordered = [blocks[index] for index in sorted(blocks)]
        return params | {BLOCKS: jax.tree.map(_stacked, *ordered)}

    return jax.tree.map(one, tree, is_leaf=_is_dict)


def from_stacks(tree: PyTree, like: PyTree) -> PyTree:
    """What `as_stacks` made of a tree, in the form that `like` has."""

    def one(wanted: Any, params: Any) -> Any:
        if not (_is_dict(wanted) and _are_single(blocks := wanted.get(BLOCKS))):
            return params
        places = enumerate(sorted(blocks))
        return params | {BLOCKS: {name: layer(params[BLOCKS], i) for i, name in places}}

    return jax.tree.map(one, like, tree, is_leaf=_is_dict)


def _stacked(*arrays: Array) -> Array:
    return jnp.stack(arrays)


def _is_dict(node: Any) -> bool:
    return isinstance(node, dict)


def _are_single(blocks: Any) -> bool:
    """Whether parameters of blocks are {0: .., 1: ..}, like trees one by one."""
    if not (_is_dict(blocks) and all(isinstance(name, int) for name in blocks)):
        return False
    return len({jax.tree.structure(block) for block in blocks.values()}) == 1
