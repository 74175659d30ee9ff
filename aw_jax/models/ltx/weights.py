"""Tensor names of the LTX-Video transformer, and its parameters under those names.

Ours are paths of `Transformer`, whose blocks are stacked: one array of ours holds one
tensor of every block, so a name stands for a path and, inside the blocks, a layer.
Upstream has 25 tensors a block and 15 outside: 715 for the 2B, 1,215 for the 13B. A
single-file checkpoint uses Lightricks' names under `model.diffusion_model.`, a
diffusers folder uses diffusers'. Linear weights turn from (o, i) to (i, o).
"""

import dataclasses
import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Shaped

from aw_jax.models.ltx.config import TransformerConfig
from aw_jax.models.ltx.safetensors_files import check_names, check_shape
from aw_jax.models.ltx.transformer import Transformer

Layout = Literal["diffusers", "lightricks"]
Tensor = Shaped[np.ndarray, "..."]
_SHARED = (
    (r"\.kernel$", ".weight"),
    (r"^blocks\.", "transformer_blocks.{layer}."),
    (r"\.to_out\.", ".to_out.0."),
    (r"\.ff\.up\.", ".ff.net.0.proj."),
    (r"\.ff\.down\.", ".ff.net.2."),
    (r"^time_embed\.linear_", "time_embed.emb.timestep_embedder.linear_"),
    (r"^time_embed\.modulation\.", "time_embed.linear."),
)
"""(regex of our dotted path, replacement) of both layouts, applied in turn."""

_LIGHTRICKS = (
    (r"^proj_in\.", "patchify_proj."),
    (r"^time_embed\.", "adaln_single."),
    (r"\.norm_([qk])\.", r".\1_norm."),
)


@dataclasses.dataclass(frozen=True)
class Slot:
    """Where a tensor of upstream lives in our model."""

    path: tuple[str, ...]
    layer: int | None
    """Index on the leading axis of a stacked array; None outside the blocks."""


def upstream_name(path: str, layout: Layout) -> str:
    """The name of our dotted `path`, with `{layer}` for the index inside the blocks."""
    for pattern, replacement in _SHARED:
        path = re.sub(pattern, replacement, path)
    if layout == "lightricks":
        for pattern, replacement in _LIGHTRICKS:
            path = re.sub(pattern, replacement, path)
    return path


def tensor_names(config: TransformerConfig, layout: Layout) -> dict[str, Slot]:
    """Where every tensor of `layout` lives in `Transformer(config)`, by its name."""
    names = {}
    for path in abstract_state(config):
        name = upstream_name(".".join(path), layout)
        layers = range(config.layers) if path[0] == "blocks" else (None,)
        names |= {name.format(layer=i): Slot(path, i) for i in layers}
    return names


@functools.cache
def abstract_state(
    config: TransformerConfig,
) -> dict[tuple[str, ...], jax.ShapeDtypeStruct]:
    """Shape and dtype of every array of `Transformer(config)`, by path."""
    return flatten_dict(nnx.to_pure_dict(nnx.state(_abstract(config))))


def tensor_shape(config: TransformerConfig, slot: Slot) -> tuple[int, ...]:
    """The shape upstream gives the tensor that lives at `slot`."""
    shape = abstract_state(config)[slot.path].shape
    shape = shape if slot.layer is None else shape[1:]
    return shape[::-1] if slot.path[-1] == "kernel" else shape


def to_upstream(model: Transformer, layout: Layout) -> dict[str, Tensor]:
    """Every parameter under its upstream name and in upstream's axis order."""
    state = flatten_dict(nnx.to_pure_dict(nnx.state(model)))
    arrays = {path: np.asarray(x) for path, x in state.items()}
    tensors = {}
    for name, slot in tensor_names(model.config, layout).items():
        array = arrays[slot.path]
        array = array if slot.layer is None else array[slot.layer]
        tensors[name] = array.T if slot.path[-1] == "kernel" else array
    return tensors


def from_upstream(
    config: TransformerConfig,
    tensors: Iterable[tuple[str, Tensor]],
    layout: Layout,
    *,
    source: str | Path = "state dict",
) -> Transformer:
    """The transformer that holds `tensors` (name, array), cast to `config.param_dtype`.

    One tensor is looked at at a time, so they may be read from a file as they come.

    Raises:
        UserError: a tensor is missing, unknown or of another shape; names `source`.
    """
    slots = tensor_names(config, layout)
    arrays = {
        path: np.empty(x.shape, x.dtype) for path, x in abstract_state(config).items()
    }
    found = set()
    for name, tensor in tensors:
        found.add(name)
        if (slot := slots.get(name)) is None:
            continue
        check_shape(source, name, tensor.shape, tensor_shape(config, slot))
        array = tensor.T if slot.path[-1] == "kernel" else tensor
        arrays[slot.path][... if slot.layer is None else slot.layer] = array
    check_names(source, found=found, expected=slots)
    state = {path: jnp.asarray(array) for path, array in arrays.items()}
    return nnx.merge(nnx.graphdef(_abstract(config)), unflatten_dict(state))


def _abstract(config: TransformerConfig) -> Transformer:
    return jax.eval_shape(lambda: Transformer(config, rngs=nnx.Rngs(0)))
