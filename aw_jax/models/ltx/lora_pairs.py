"""Adapter files as pairs of matrices under diffusers' layer names, without a model.

    W' = W + (alpha / r) B A,    A [r, inputs], B [outputs, r]

A tensor is called PREFIX LAYER .lora_A.weight (or lora_down; .lora_A.NAME.weight as
peft has it in memory). The prefix is `transformer.` (diffusers, LTX-Video-Trainer),
`diffusion_model.` (ComfyUI), `base_model.model.` (peft), or none. The layer is called
as in diffusers or, by ComfyUI outside the blocks, as Lightricks calls it. alpha is a
tensor LAYER.alpha, or an entry of the metadata's `lora_adapter_metadata` (diffusers) or
of the adapter_config.json beside an adapter_model.safetensors (peft), or r where there
is none of them; the first of them decides.
"""

import dataclasses
import json
import math
import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from aw_jax.core.errors import UserError
from aw_jax.models.ltx.safetensors_files import (
    Tensor,
    file_metadata,
    iterate_tensors,
    listed,
    save_tensors,
    tensor_shapes,
)
from aw_jax.models.ltx.weights import Layout

METADATA = "lora_adapter_metadata"
PEFT = ("adapter_model.safetensors", "adapter_config.json")
"""What peft calls an adapter's tensors, and its config in the same folder."""
LICENCE = (
    "An adapter is a derivative of the LTX-Video checkpoint it was trained on and "
    "carries that checkpoint's licence."
)
PREFIXES: dict[Layout, str] = {
    "diffusers": "transformer.",
    "lightricks": "diffusion_model.",
}
"""What we write before a layer's name."""
_NAME = re.compile(
    r"(?P<prefix>transformer\.|diffusion_model\.|base_model\.model\.)?"
    r"(?P<layer>\w+(?:\.\w+)*?)"
    r"(?:\.lora_(?P<part>A|B|down|up)(?:\.(?P<name>[\w-]+))?\.weight|\.(?P<alpha>alpha))"
)
_RENAMED = (("patchify_proj", "proj_in"), ("adaln_single", "time_embed"))
"""First words of a layer's name: Lightricks', diffusers'."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """The update B A of one layer in float32; alpha / r is folded into B."""

    a: Float[np.ndarray, "r i"]
    b: Float[np.ndarray, "o r"]


def read_pairs(path: str | Path, *, besides: Collection[str] = ()) -> dict[str, Pair]:
    """Every pair of an adapter file by diffusers' name of its layer, sorted.

    Args:
        path: of the .safetensors file.
        besides: names of tensors that the file may hold and that are left alone.

    Raises:
        UserError: no safetensors file, no pair in it, half a pair, ranks that do not
            agree, or a tensor that belongs to no pair; says which.
    """
    names = sorted(set(tensor_shapes(path)) - set(besides))
    layers = _layers(path, names)
    alphas = _Alphas.of(path)
    return {layer: _pair(path, layer, layers[layer], alphas) for layer in layers}


def is_adapter(path: str | Path) -> bool:
    """Whether a safetensors file holds matrices of an adapter."""
    matches = map(_NAME.fullmatch, tensor_shapes(path))
    return any(match is not None and match["part"] for match in matches)


def save_pairs(
    path: str | Path,
    pairs: dict[str, Pair],
    *,
    layout: Layout = "diffusers",
    dtype: str = "float32",
) -> None:
    """Writes an adapter that means the same to readers with and without alpha.

    `layout` "diffusers" suits diffusers, peft and LTX-Video-Trainer, "lightricks"
    ComfyUI.
    """
    tensors = {
        name: array.astype(jnp.dtype(dtype))
        for name, array in pair_tensors(pairs, layout).items()
    }
    notes = {"format": "pt", "licence": LICENCE, METADATA: json.dumps(_config(pairs))}
    save_tensors(path, tensors, metadata=notes)


def pair_tensors(pairs: dict[str, Pair], layout: Layout) -> dict[str, Tensor]:
    """The tensors of an adapter under their names in a file."""
    tensors = {}
    for layer, pair in pairs.items():
        stem = PREFIXES[layout] + _named(layer, layout)
        tensors[f"{stem}.lora_A.weight"] = pair.a
        tensors[f"{stem}.lora_B.weight"] = pair.b
    return tensors


def _config(pairs: dict[str, Pair]) -> dict[str, Any]:
    """The adapter in peft's words, as diffusers reads them: alpha = r everywhere."""
    ranks = {layer: pair.a.shape[0] for layer, pair in pairs.items()}
    rank = max(ranks.values())
    other = {f"^{re.escape(k)}": r for k, r in ranks.items() if r != rank}
    described = {
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": other,
        "alpha_pattern": other,
        "target_modules": sorted(ranks),
    }
    return {f"transformer.{key}": value for key, value in described.items()}


def _named(layer: str, layout: Layout) -> str:
    """The name in `layout` of a layer by its name in diffusers."""
    renamed = [(theirs, own) for own, theirs in _RENAMED if layout == "lightricks"]
    return _replaced(layer, renamed)


def _replaced(layer: str, renamed: Collection[tuple[str, str]]) -> str:
    first, dot, rest = layer.partition(".")
    return dict(renamed).get(first, first) + dot + rest


def _layers(path: str | Path, names: list[str]) -> dict[str, dict[str, str]]:
    """{layer: {"A" | "B" | "alpha": name of the tensor}}, every pair whole."""
    layers: dict[str, dict[str, str]] = defaultdict(dict)
    odd = []
    for name in names:
        if (match := _NAME.fullmatch(name)) is None:
            odd.append(name)
            continue
        part = {"down": "A", "up": "B"}.get(match["part"], match["part"] or "alpha")
        layer = layers[_replaced(match["layer"], _RENAMED)]
        if part in layer:
            raise UserError(f"{path}: {layer[part]} and {name} are the same matrix.")
        layer[part] = name
    if not any("A" in parts or "B" in parts for parts in layers.values()):
        raise UserError(f"{path}: expected lora_A and lora_B tensors, found none.")
    if odd:
        raise UserError(f"{path}: {listed(odd)} belong to no pair lora_A, lora_B.")
    half = [name for parts in layers.values() if not {"A", "B"} <= set(parts)
            for name in parts.values()]  # fmt: skip
    if half:
        raise UserError(f"{path}: {listed(half)} without the other of the pair.")
    return dict(sorted(layers.items()))


def _pair(path: str | Path, layer: str, names: dict[str, str], alphas: Any) -> Pair:
    """Reads the tensors of one layer and folds alpha / r into B."""
    found = dict(iterate_tensors(path, names.values()))
    a, b = (found[names[part]].astype(np.float32) for part in ("A", "B"))
    if not (a.ndim == b.ndim == 2 and a.shape[0] == b.shape[1] > 0):
        raise UserError(
            f"{path}: {layer} expects A [r, inputs] and B [outputs, r], got shapes "
            f"{a.shape} and {b.shape}."
        )
    if "alpha" not in names:
        return Pair(a, b * np.float32(alphas.scale(layer, a.shape[0])))
    alpha = found[names["alpha"]].astype(np.float32)
    if alpha.size != 1 or not np.isfinite(alpha).all():
        raise UserError(
            f"{path}: {names['alpha']} expects one finite number, got shape "
            f"{alpha.shape}."
        )
    return Pair(a, b * (alpha.reshape(()) / np.float32(a.shape[0])))


@dataclasses.dataclass(frozen=True)
class _Alphas:
    """What is said of ranks and scales, and where; {} if nothing is."""

    source: str
    config: dict[str, Any]

    @classmethod
    def of(cls, path: str | Path) -> "_Alphas":
        source, text = _described(Path(path))
        try:
            config = {
                key.removeprefix("transformer."): value
                for key, value in json.loads(text).items()
            }
        except (ValueError, AttributeError) as error:
            raise UserError(f"{source}: {error}") from None
        if config.get("use_dora"):
            raise UserError(f"{source} says use_dora; expected plain LoRA.")
        return cls(source, config)

    def scale(self, layer: str, rank: int) -> float:
        """The factor alpha / r, or alpha / sqrt(r) under `use_rslora`."""
        said = self._field("r", "rank_pattern", layer, rank)
        if said != rank:
            raise UserError(f"{self.source}: {layer} has rank {rank}, not {said}.")
        alpha = self._field("lora_alpha", "alpha_pattern", layer, rank)
        if not isinstance(alpha, int | float) or not math.isfinite(alpha):
            raise UserError(
                f"{self.source}: expected a number as alpha of {layer}, got {alpha!r}."
            )
        return alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank)

    def _field(self, name: str, patterns: str, layer: str, default: int) -> Any:
        """The value of the first pattern that matches the end of the name (peft)."""
        for pattern, value in (self.config.get(patterns) or {}).items():
            if re.match(rf"(.*\.)?({pattern})$", layer):
                return value
        return self.config.get(name, default)


def _described(path: Path) -> tuple[str, str]:
    """The adapter in peft's words, as JSON, after the name of its source."""
    tensors, config = PEFT
    beside = path.with_name(config)
    noted = file_metadata(path).get(METADATA)
    if noted is None and path.name == tensors and beside.is_file():
        return str(beside), beside.read_text(encoding="utf-8", errors="replace")
    return f"{path}: metadata {METADATA}", "{}" if noted is None else noted
