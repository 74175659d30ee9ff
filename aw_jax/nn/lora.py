"""Low-rank adapters as surgery on a built model.

    W' = W + (alpha / r) A B,    A [.., inputs, r] random, B [.., r, outputs] zero

so an adapted model starts as its base. The base keeps its arrays and its paths;
adapters live beside each kernel under their own name, several on one base, one active
at a time. Layers stacked for a scan get adapters stacked the same way; those of a list
of modules each get what the stack would hold for them (layers.py).

    model = lora.attach(model, name="restorer", rank=128, alpha=128, rngs=rngs)
    graphdef, adapter, frozen = lora.split(model, "restorer")
    grads = jax.grad(lambda a: loss(lora.join(graphdef, a, frozen)))(adapter)
"""

import re
from collections import defaultdict
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

from aw_jax.core.arrays import Array, Float, PyTree
from aw_jax.nn.linear import Linear, Types

M = TypeVar("M", bound=nnx.Module)

TARGETS = r"(.*\.)?(attn\d+\.to_(q|k|v|out)|ff\.(up|down))"
"""The projections of every attention and both layers of every feed-forward."""


class LoRAParam(nnx.Param):
    """A parameter of an adapter."""


class LowRank(nnx.Module):
    """One adapter of one layer: the update `scale * a b`."""

    def __init__(self, a: Array, b: Array, *, scale: float | int) -> None:
        self.a, self.b = LoRAParam(a), LoRAParam(b)
        self.scale = scale

    def __call__(self, x: Float[Array, "*b i"]) -> Float[Array, "*b o"]:
        """What the adapter adds to the layer's output at input `x`."""
        a, b = self.a[...].astype(x.dtype), self.b[...].astype(x.dtype)
        return ((x @ a) @ b) * jnp.asarray(self.scale, x.dtype)


class AdaptedLinear(Linear):
    """A `Linear` with the same kernel at the same path, and adapters by name."""

    def __init__(self, base: Linear) -> None:
        self.kernel, self.bias, self.dtype = base.kernel, base.bias, base.dtype
        self.adapters = nnx.Dict()
        self.active: str | None = None

    def __call__(self, x: Float[Array, "*b i"]) -> Float[Array, "*b o"]:
        """The base's output plus the active adapter's."""
        y = super().__call__(x)
        if self.active is None:
            return y
        return y + self.adapters[self.active](x.astype(y.dtype))


def attach(
    model: M,
    *,
    name: str,
    rank: int,
    alpha: float | int,
    rngs: nnx.Rngs,
    targets: str = TARGETS,
) -> M:
    """A model that shares the base's arrays and has one more adapter, now active.

    Args:
        model: any module that holds `Linear` layers.
        name: of the adapter.
        rank: r, the width of the bottleneck.
        alpha: the update is scaled by alpha / r.
        rngs: draws A, kaiming-uniform: U(-1, 1) / sqrt(inputs).
        targets: regular expression that a layer's dotted path must match in full, with
            or without the numbers of the lists it is in: `blocks.attn1.to_q` is that of
            every block.

    Raises:
        ValueError: no layer matches, or the name is taken.
    """
    alike: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for path, layer in linear_layers(model).items():
        if re.fullmatch(targets, path) or re.fullmatch(targets, _numberless(path)):
            alike[_numberless(path), *layer.kernel.shape].append(path)
    if not alike:
        raise ValueError(f"lora.attach: no Linear layer matches targets={targets!r}.")
    drawn = {}
    for (_, *shape), paths in sorted(alike.items()):
        updates = _draw(len(paths), shape, rank, alpha, rngs)
        drawn |= dict(zip(sorted(paths, key=_numbers), updates, strict=True))
    return insert(model, name, drawn)


def insert(model: M, name: str, updates: dict[str, LowRank]) -> M:
    """`attach` with updates that exist already, by the dotted path of their layer."""
    model = nnx.clone(model)
    layers = linear_layers(model)
    for path, update in updates.items():
        layer = layers[path]
        if not isinstance(layer, AdaptedLinear):
            layer = AdaptedLinear(layer)
            _put(model, path, layer)
        if name in layer.adapters:
            raise ValueError(f"lora: {path} already has an adapter {name!r}.")
        layer.adapters[name] = update
    return activate(model, name)


def _numberless(path: str) -> str:
    return ".".join(part for part in path.split(".") if not part.isdigit())


def _numbers(path: str) -> list[int]:
    return [int(part) for part in path.split(".") if part.isdigit()]


def _draw(
    count: int, shape: list[int], rank: int, alpha: float | int, rngs: nnx.Rngs
) -> list[LowRank]:
    """Adapters of `count` layers with kernels of one shape, drawn as one array."""
    *stack, inputs, outputs = shape
    bound = inputs**-0.5
    drawn = (count, *stack, inputs, rank)
    every = jax.random.uniform(rngs.params(), drawn, jnp.float32, -bound, bound)
    zeros = lambda: jnp.zeros((*stack, rank, outputs))
    return [LowRank(a, zeros(), scale=alpha / rank) for a in every]


def _put(model: nnx.Module, path: str, layer: nnx.Module) -> None:
    above, _, last = path.rpartition(".")
    node: Any = model
    for part in filter(None, above.split(".")):
        node = node[int(part)] if part.isdigit() else getattr(node, part)
    if last.isdigit():
        node[int(last)] = layer
    else:
        setattr(node, last, layer)


def linear_layers(model: nnx.Module) -> dict[str, Linear]:
    """Every `Linear` by its dotted path, sorted."""
    found = {".".join(map(str, p)): node for p, node in nnx.iter_modules(model)}
    return {p: x for p, x in sorted(found.items()) if isinstance(x, Linear)}


def adapted_layers(model: nnx.Module) -> dict[str, AdaptedLinear]:
    """Those among them that have room for adapters."""
    layers = linear_layers(model).items()
    return {path: x for path, x in layers if isinstance(x, AdaptedLinear)}


def activate(model: M, name: str | None) -> M:
    """The same model, arrays shared, that runs with adapter `name` (None: the base).

    Raises:
        ValueError: there is no such adapter.
    """
    model = nnx.clone(model)
    layers = adapted_layers(model).values()
    known = {key for layer in layers for key in layer.adapters}
    if name is not None and name not in known:
        raise ValueError(f"no adapter {name!r}; the model has {sorted(known)}.")
    for layer in layers:
        layer.active = name if name is not None and name in layer.adapters else None
    return model


def only(model: M, name: str | None) -> M:
    """`activate`, and every other adapter left out of the model."""
    model = activate(model, name)
    for layer in adapted_layers(model).values():
        for other in [key for key in layer.adapters if key != name]:
            del layer.adapters[other]
    return model


def split(model: nnx.Module, name: str) -> tuple[nnx.GraphDef, PyTree, PyTree]:
    """(graphdef, adapter, frozen): the active adapter's arrays apart from all others.

    Adapters of other names are left out. Both trees are plain nested dicts.
    """
    graphdef, adapter, frozen = nnx.split(only(model, name), LoRAParam, ...)
    return graphdef, nnx.to_pure_dict(adapter), nnx.to_pure_dict(frozen)


def join(graphdef: nnx.GraphDef, adapter: PyTree, frozen: PyTree) -> Any:
    """The model that `split` took apart, with these arrays."""
    return nnx.merge(graphdef, adapter, frozen)


def merge(model: M, name: str) -> M:
    """A model without adapters whose kernels hold `W + (alpha / r) A B`."""
    model = only(model, name)
    for path, layer in adapted_layers(model).items():
        _put(model, path, _merged(layer, name))
    return model


def _merged(layer: AdaptedLinear, name: str) -> Linear:
    plain = Linear(1, 1, rngs=nnx.Rngs(0), types=Types(compute=layer.dtype))
    plain.kernel, plain.bias = layer.kernel, layer.bias
    if name in layer.adapters:
        low = layer.adapters[name]
        kernel = layer.kernel[...]
        update = low.scale * jnp.matmul(low.a[...], low.b[...])
        plain.kernel = nnx.Param((kernel + update).astype(kernel.dtype))
    return plain
