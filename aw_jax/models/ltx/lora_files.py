"""Adapter files in diffusers' and peft's names, one tensor pair per layer and block.

    transformer.transformer_blocks.3.attn1.to_out.0.lora_A.weight   [r, inputs]
    transformer.transformer_blocks.3.attn1.to_out.0.lora_B.weight   [outputs, r]

alpha / r is folded into B, so that a reader who knows no alpha (and takes alpha = r)
gets the same update.
"""

import re
from collections import defaultdict
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from aw_jax.core.errors import UserError
from aw_jax.models.ltx.safetensors_files import iterate_tensors, tensor_shapes
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.nn import lora
from aw_jax.nn.linear import Linear

Tensors = dict[str, Float[np.ndarray, "..."]]
UPSTREAM = {"to_out": "to_out.0", "up": "net.0.proj", "down": "net.2"}
"""Our name of a layer, diffusers' name."""
_NAME = re.compile(
    r"(?:transformer|diffusion_model)\.transformer_blocks\.(\d+)\.(.+)"
    r"\.lora_([AB])\.weight"
)


def adapter_tensors(model: Transformer, name: str) -> Tensors:
    """The tensors of adapter `name` under their names in a file, float32."""
    tensors: Tensors = {}
    for path, layer in lora.adapted_layers(model).items():
        if name not in layer.adapters:
            continue
        low, upstream = layer.adapters[name], _upstream(path)
        pairs = zip(np.asarray(low.a[...]), np.asarray(low.b[...]), strict=True)
        for block, (a, b) in enumerate(pairs):
            stem = f"transformer.transformer_blocks.{block}.{upstream}"
            tensors[f"{stem}.lora_A.weight"] = np.ascontiguousarray(a.T)
            tensors[f"{stem}.lora_B.weight"] = np.ascontiguousarray(low.scale * b.T)
    return tensors


def load_adapter(model: Transformer, path: str | Path, name: str) -> Transformer:
    """The model with the adapter of a file attached as `name`, active.

    Raises:
        UserError: the file holds something else, or an adapter of another model.
    """
    shapes = tensor_shapes(path)
    found = [n for n in shapes if n.endswith(("lora_A.weight", "lora_B.weight"))]
    layers, known = _stacked(path, found), lora.linear_layers(model)
    for own, arrays in layers.items():
        _check(path, own, arrays, known)
    updates = {
        own: lora.LowRank(jnp.asarray(x["a"]), jnp.asarray(x["b"]), scale=1.0)
        for own, x in layers.items()
    }
    return lora.insert(model, name, updates)


def _check(
    path: str | Path, own: str, arrays: Tensors, known: dict[str, Linear]
) -> None:
    if own not in known:
        raise UserError(f"{path}: this model has no layer {own} to adapt.")
    *stack, inputs, outputs = known[own].kernel.shape
    a, b = arrays["a"].shape, arrays["b"].shape
    if (*a[:-1], *b[-2:]) != (*stack, inputs, a[-1], outputs):
        raise UserError(
            f"{path}: {own} expects A and B of shapes {(*stack, inputs, 'r')} and "
            f"{(*stack, 'r', outputs)}, got {a} and {b}; another base?"
        )


def _stacked(path: str | Path, names: list[str]) -> dict[str, Tensors]:
    """{our path: {a: [blocks, inputs, r], b: [blocks, r, outputs]}} of a file."""
    parts: dict[tuple[str, str], dict[int, np.ndarray]] = defaultdict(dict)
    for name, array in iterate_tensors(path, names):
        match = _NAME.fullmatch(name)
        if match is None:
            raise UserError(
                f"{path}: expected transformer.transformer_blocks.N.X.lora_A.weight, "
                f"got {name}."
            )
        block, layer, part = int(match[1]), match[2], match[3].lower()
        parts[_ours(layer), part][block] = array.astype(np.float32).T
    if not parts:
        raise UserError(f"{path}: expected lora_A and lora_B tensors, found none.")
    layers: dict[str, Tensors] = defaultdict(dict)
    for (layer, part), blocks in parts.items():
        if sorted(blocks) != list(range(len(blocks))):
            raise UserError(f"{path}: {layer} is not adapted in every block.")
        layers[layer][part] = np.stack([blocks[i] for i in range(len(blocks))])
    return dict(layers)


def _upstream(path: str) -> str:
    """`blocks.ff.up` -> `ff.net.0.proj`."""
    *above, last = path.removeprefix("blocks.").split(".")
    return ".".join([*above, UPSTREAM.get(last, last)])


def _ours(layer: str) -> str:
    """Inverse of `_upstream`."""
    for own, upstream in UPSTREAM.items():
        if layer.endswith("." + upstream):
            return f"blocks.{layer.removesuffix(upstream)}{own}"
    return f"blocks.{layer}"
