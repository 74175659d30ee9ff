"""Adapters of a model in and out of files, one pair of matrices per layer and block.

    transformer.transformer_blocks.3.attn1.to_out.0.lora_A.weight   [r, inputs]
    transformer.transformer_blocks.3.attn1.to_out.0.lora_B.weight   [outputs, r]

lora_pairs.py says which other forms are read. alpha / r is folded into B, so that a
reader who knows no alpha (and takes alpha = r) gets the same update. Where blocks are
stacked and their ranks differ, A and B are padded with zeros to the largest, which adds
nothing to B A.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import lora_pairs
from aw_jax.models.ltx.config import TransformerConfig
from aw_jax.models.ltx.lora_pairs import Pair
from aw_jax.models.ltx.safetensors_files import Tensor, listed
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.models.ltx.weights import Layout, Slot, tensor_names, tensor_shape
from aw_jax.nn import lora


def adapter_tensors(
    model: Transformer, name: str, *, layout: Layout = "diffusers"
) -> dict[str, Tensor]:
    """The tensors of adapter `name` under their names in a file, float32."""
    return lora_pairs.pair_tensors(adapter_pairs(model, name), layout)


def save_adapter(
    path: str | Path,
    model: Transformer,
    name: str,
    *,
    layout: Layout = "diffusers",
    dtype: str = "float32",
) -> None:
    """Writes adapter `name`: "diffusers" for diffusers, "lightricks" for ComfyUI."""
    pairs = adapter_pairs(model, name)
    lora_pairs.save_pairs(path, pairs, layout=layout, dtype=dtype)


def load_adapter(
    model: Transformer, path: str | Path, name: str, *, besides: Collection[str] = ()
) -> Transformer:
    """The model with the adapter of a file attached as `name`, active.

    Args:
        model: the base, with or without other adapters.
        path: of a file in any form that lora_pairs.py describes.
        name: what the adapter is called in the model.
        besides: tensors of the file that are none of the adapter's.

    Raises:
        UserError: the file holds something else, or an adapter of another model.
    """
    pairs = lora_pairs.read_pairs(path, besides=besides)
    check_pairs(path, pairs, model.config)
    return _inserted(model, pairs, name)


def load_adapters(
    model: Transformer, scales: Sequence[tuple[str | Path, float]], name: str
) -> Transformer:
    """The model with the sum of several files' updates as one adapter, active.

    Args:
        model: the base.
        scales: each file, and what its update is multiplied by.
        name: what the sum is called in the model.

    Raises:
        UserError: as `load_adapter`.
    """
    found: dict[str, list[Pair]] = defaultdict(list)
    for path, scale in scales:
        pairs = lora_pairs.read_pairs(path)
        check_pairs(path, pairs, model.config)
        for layer, pair in pairs.items():
            found[layer].append(Pair(pair.a, np.float32(scale) * pair.b))
    total = {
        layer: Pair(np.concatenate([p.a for p in every]),
                    np.concatenate([p.b for p in every], axis=1))
        for layer, every in found.items()
    }  # fmt: skip
    return _inserted(model, total, name)


def _inserted(model: Transformer, pairs: dict[str, Pair], name: str) -> Transformer:
    slots = layer_slots(model.config)
    stacks: dict[str, dict[int | None, Pair]] = defaultdict(dict)
    for layer, pair in pairs.items():
        stacks[slots[layer].dotted][slots[layer].layer] = pair
    updates = {own: _update(stack) for own, stack in stacks.items()}
    return lora.insert(model, name, updates)


def adapter_pairs(model: Transformer, name: str) -> dict[str, Pair]:
    """The pairs of adapter `name` by diffusers' layer names."""
    lows = {
        path: layer.adapters[name]
        for path, layer in lora.adapted_layers(model).items()
        if name in layer.adapters
    }
    arrays = {p: (np.asarray(x.a[...]), np.asarray(x.b[...])) for p, x in lows.items()}
    pairs = {}
    for layer, slot in layer_slots(model.config).items():
        if (path := slot.dotted) in lows:
            a, b = arrays[path]
            a, b = (a, b) if slot.layer is None else (a[slot.layer], b[slot.layer])
            pairs[layer] = Pair(a.T, np.asarray(lows[path].scale * b.T))
    return pairs


def layer_slots(config: TransformerConfig) -> dict[str, Slot]:
    """Where each dense layer of diffusers lives in our model, by its name."""
    return {
        name.removesuffix(".weight"): Slot(slot.path[:-1], slot.layer)
        for name, slot in tensor_names(config, "diffusers").items()
        if slot.path[-1] == "kernel"
    }


def check_pairs(
    path: str | Path, pairs: dict[str, Pair], config: TransformerConfig
) -> None:
    """Raises UserError unless the pairs are those of layers of this model.

    What an unrolled model takes is what a stacked one does.
    """
    config = dataclasses.replace(config, unroll=False)
    slots = layer_slots(config)
    if foreign := [layer for layer in pairs if layer not in slots]:
        raise UserError(f"{path}: this model has no layer {listed(foreign)} to adapt.")
    for layer, pair in pairs.items():
        kernel = Slot((*slots[layer].path, "kernel"), slots[layer].layer)
        outputs, inputs = tensor_shape(config, kernel)
        a, b = pair.a.shape, pair.b.shape
        if (a[1], b[0]) != (inputs, outputs):
            raise UserError(
                f"{path}: {layer} expects A and B of shapes ('r', {inputs}) and "
                f"({outputs}, 'r'), got {a} and {b}; another base?"
            )
    reached = {slots[layer].path for layer in pairs}
    every = [layer for layer, slot in slots.items() if slot.path in reached]
    if missing := [layer for layer in every if layer not in pairs]:
        raise UserError(
            f"{path}: {listed(missing)} missing; expected layers that are adapted in "
            "every block."
        )


def _update(stack: dict[int | None, Pair]) -> lora.LowRank:
    """One adapter for a layer, or for a stack of layers."""
    if None in stack:
        a, b = stack[None].a.T, stack[None].b.T
    else:
        pairs = [stack[block] for block in range(len(stack))]
        rank = max(len(pair.a) for pair in pairs)
        a = np.stack([_padded(pair.a, rank).T for pair in pairs])
        b = np.stack([_padded(pair.b.T, rank) for pair in pairs])
    return lora.LowRank(jnp.asarray(a), jnp.asarray(b), scale=1.0)


def _padded(rows: Float[np.ndarray, "r c"], rank: int) -> Float[np.ndarray, "s c"]:
    """Zero rows are added until there are `rank`."""
    return np.pad(rows, ((0, rank - rows.shape[0]), (0, 0)))
