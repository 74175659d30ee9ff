"""Tensor names of transformers' T5EncoderModel, and the encoder that holds them.

Ours are paths of `T5Encoder`, whose blocks are stacked: a name stands for a path and,
inside the blocks, a layer. Upstream has nine tensors a block and three outside: 219 for
the XXL. Linear weights turn from (o, i) to (i, o).
"""

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Shaped

from aw_jax.core.arrays import Array, Int
from aw_jax.models.ltx.safetensors_files import check_names, check_shape
from aw_jax.models.t5.config import T5Config
from aw_jax.models.t5.encoder import T5Encoder

Tensor = Shaped[np.ndarray, "..."]
_NAMES = (
    (r"\.kernel$", ".weight"),
    (r"^table$", "shared.weight"),
    (
        r"^positions$",
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    ),
    (r"^norm\.", "encoder.final_layer_norm."),
    (r"^blocks\.", "encoder.block.{layer}."),
    (r"\.norm1\.", ".layer.0.layer_norm."),
    (r"\.norm2\.", ".layer.1.layer_norm."),
    (r"\.attention\.", ".layer.0.SelfAttention."),
    (r"\.ff\.gate\.", ".layer.1.DenseReluDense.wi_0."),
    (r"\.ff\.up\.", ".layer.1.DenseReluDense.wi_1."),
    (r"\.ff\.down\.", ".layer.1.DenseReluDense.wo."),
)
"""(regex of our dotted path, replacement), applied in turn."""

UNUSED = (
    r"encoder\.embed_tokens\.weight",
    r"decoder\.embed_tokens\.weight",
    r"decoder\.(block\.\d+|final_layer_norm)\..+",
    r"lm_head\.weight",
)
"""Known tensors that no encoder reads: copies of `shared.weight`, which transformers
before 4.26 wrote out, and the decoder and head of T5ForConditionalGeneration."""


@dataclasses.dataclass(frozen=True)
class Slot:
    """Where a tensor of upstream lives in our model."""

    path: tuple[str, ...]
    layer: int | None
    """Index on the leading axis of a stacked array; None outside the blocks."""


def tensor_names(config: T5Config) -> dict[str, Slot]:
    """Where every tensor of upstream lives in `T5Encoder(config)`, by its name."""
    names = {}
    for path in abstract_state(config):
        name = _upstream_name(".".join(path))
        layers = range(config.layers) if path[0] == "blocks" else (None,)
        names |= {name.format(layer=i): Slot(path, i) for i in layers}
    return names


def _upstream_name(path: str) -> str:
    for pattern, replacement in _NAMES:
        path = re.sub(pattern, replacement, path)
    return path


@functools.cache
def abstract_state(config: T5Config) -> dict[tuple[str, ...], jax.ShapeDtypeStruct]:
    """Shape and dtype of every array of `T5Encoder(config)`, by path."""
    return flatten_dict(nnx.to_pure_dict(nnx.state(_abstract(config))))


def tensor_shape(config: T5Config, slot: Slot) -> tuple[int, ...]:
    """The shape upstream gives the tensor that lives at `slot`."""
    shape = abstract_state(config)[slot.path].shape
    shape = shape if slot.layer is None else shape[1:]
    return shape[::-1] if slot.path[-1] == "kernel" else shape


def fitting_names(
    config: T5Config, shapes: Mapping[str, tuple[int, ...]], *, source: str | Path
) -> list[str]:
    """The names among `shapes` that the encoder reads, in the order of `shapes`.

    Raises:
        UserError: a tensor is missing, unknown or of another shape; names `source`.
    """
    slots = tensor_names(config)
    unused = re.compile("|".join(UNUSED))
    found = [name for name in shapes if not unused.fullmatch(name)]
    check_names(source, found=found, expected=slots)
    for name in found:
        check_shape(source, name, shapes[name], tensor_shape(config, slots[name]))
    return found


def from_upstream(config: T5Config, tensors: Iterable[tuple[str, Tensor]]) -> T5Encoder:
    """The encoder that holds `tensors` (name, array), cast to `config.param_dtype`.

    Each tensor is written into its array in place and then let go, so that beside the
    parameters only one is held at a time.

    Args:
        config: of the encoder.
        tensors: each of `tensor_names(config)` once, in any order, given away: an
            array may become a parameter without being copied.
    """
    slots, abstract = tensor_names(config), abstract_state(config)
    arrays: dict[tuple[str, ...], Array] = {}
    for name, tensor in tensors:
        path, layer = slots[name].path, slots[name].layer
        whole = abstract[path]
        array = tensor.T if path[-1] == "kernel" else tensor
        array = array.astype(whole.dtype, copy=False)
        if layer is None:
            arrays[path] = jnp.asarray(array)
        else:
            stack = arrays.pop(path, None)
            stack = jnp.zeros(whole.shape, whole.dtype) if stack is None else stack
            arrays[path] = _written(stack, array, layer)
    return nnx.merge(nnx.graphdef(_abstract(config)), unflatten_dict(arrays))


@functools.partial(jax.jit, donate_argnums=0)
def _written(
    stack: Shaped[Array, "n ..."], tensor: Shaped[Array, "..."], layer: Int[Array, ""]
) -> Shaped[Array, "n ..."]:
    """`stack` with `tensor` as its entry `layer`, in the memory of `stack`."""
    return jax.lax.dynamic_update_index_in_dim(stack, tensor, layer, axis=0)


def _abstract(config: T5Config) -> T5Encoder:
    return jax.eval_shape(lambda: T5Encoder(config, rngs=nnx.Rngs(0)))
