"""Tensor names of the LTX-Video transformer, and its parameters under those names.

Ours are paths of `Transformer`. Where its blocks are stacked, one array of ours holds
one tensor of every block, so a name stands for a path and, inside the blocks, a layer;
unrolled, every tensor has a path of its own (nn/layers.py). Upstream has 25 tensors a
block and 15 outside: 715 for the 2B, 1,215 for the 13B. A single-file checkpoint uses
Lightricks' names under `model.diffusion_model.`, a diffusers folder uses diffusers'.
Linear weights turn from (o, i) to (i, o).
"""

import dataclasses
import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Shaped

from aw_jax.core.errors import UserError
from aw_jax.models.ltx.config import TransformerConfig
from aw_jax.models.ltx.safetensors_files import check_names, check_shape
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.nn import layers

Layout = Literal["diffusers", "lightricks"]
Tensor = Shaped[np.ndarray, "..."]
Place = Callable[[str, tuple[int, ...]], jax.sharding.Sharding]
"""Our dotted path and the shape of an array -> how it lies on the devices."""
Keys = tuple[str | int, ...]
"""A path in our model; members of a list have numbers."""
_ALIGNMENT = 64
_SHARED = (
    (r"\.kernel$", ".weight"),
    (r"^blocks\.(\d+)\.", r"transformer_blocks.\1."),
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

    path: Keys
    layer: int | None
    """Index on the leading axis of a stacked array; None of any other."""

    @property
    def dotted(self) -> str:
        """The path as one string."""
        return ".".join(map(str, self.path))


def upstream_name(path: str, layout: Layout) -> str:
    """The name of our dotted `path`, with `{layer}` for the index inside a stack."""
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
        ours = Slot(path, None).dotted
        name = upstream_name(ours, layout)
        every = range(config.layers) if layers.is_stacked(ours) else (None,)
        names |= {name.format(layer=i): Slot(path, i) for i in every}
    return names


@functools.cache
def abstract_state(
    config: TransformerConfig,
) -> dict[Keys, jax.ShapeDtypeStruct]:
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
    place: Place | None = None,
) -> Transformer:
    """The transformer that holds `tensors` (name, array), cast to `config.param_dtype`.

    One tensor is looked at at a time, so they may be read from a file as they come; of
    views into a file, only what each device holds is read. An array is placed as soon
    as its last tensor is there.

    Args:
        config: of the transformer.
        tensors: in any order; that of `tensor_names` keeps fewest arrays waiting.
        layout: whose names they have.
        source: what errors name.
        place: how an array of this path and shape is spread over devices; by default
            it is whole on the default one.

    Raises:
        UserError: a tensor is missing, unknown, there twice or of another shape.
    """
    slots, abstract = tensor_names(config, layout), abstract_state(config)
    missing = Counter(slot.path for slot in slots.values())
    waiting: dict[Keys, _Parts] = {}
    state, found = {}, set()
    for name, tensor in tensors:
        if name in found:
            raise UserError(f"{source}: tensor {name} is there twice.")
        found.add(name)
        if (slot := slots.get(name)) is None:
            continue
        check_shape(source, name, tensor.shape, tensor_shape(config, slot))
        whole = abstract[path := slot.path]
        if path not in waiting:
            to = None if place is None else place(slot.dotted, whole.shape)
            waiting[path] = _Parts(whole, to)
        array = tensor.T if path[-1] == "kernel" else tensor
        waiting[path].write(array, slot.layer)
        missing[path] -= 1
        if not missing[path]:
            state[path] = waiting.pop(path).placed()
    check_names(source, found=found, expected=slots)
    return nnx.merge(nnx.graphdef(_abstract(config)), unflatten_dict(state))


class _Parts:
    """What each device will hold of one array, in buffers that it can take over."""

    def __init__(
        self, whole: jax.ShapeDtypeStruct, sharding: jax.sharding.Sharding | None
    ) -> None:
        self.shape, self.sharding = whole.shape, sharding
        indices: dict[Any, Any] = {None: (slice(None),) * len(whole.shape)}
        if sharding is not None:
            indices = dict(sharding.addressable_devices_indices_map(whole.shape))
        self.parts = {
            device: (index, _aligned(_extent(index, whole.shape), whole.dtype))
            for device, index in indices.items()
        }

    def write(self, array: Tensor, layer: int | None) -> None:
        """Copies each device's part of a tensor, `layer` of a stack or all of it."""
        for index, part in self.parts.values():
            if layer is None:
                part[...] = array[index]
            elif layer in range(*index[0].indices(self.shape[0])):
                part[layer - (index[0].start or 0)] = array[index[1:]]

    def placed(self) -> jax.Array:
        """The array on its devices; the buffers must not be written afterwards."""
        arrays = [
            jax.device_put(part, device, may_alias=True)
            for device, (_, part) in self.parts.items()
        ]
        if self.sharding is None:
            return arrays[0]
        make = jax.make_array_from_single_device_arrays
        return make(self.shape, self.sharding, arrays)


def _extent(index: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    pairs = zip(index, shape, strict=True)
    return tuple(len(range(*axis.indices(size))) for axis, size in pairs)


def _aligned(shape: tuple[int, ...], dtype: Any) -> Tensor:
    """An empty array at an address that XLA takes over on a CPU without copying."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def _abstract(config: TransformerConfig) -> Transformer:
    return jax.eval_shape(lambda: Transformer(config, rngs=nnx.Rngs(0)))
