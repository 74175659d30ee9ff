"""`@pytree`: frozen keyword-only dataclasses that jax sees as containers.

Unflattening goes around `__init__`, so a transform may put shapes, `None` or shardings
where arrays were, while a caller who builds one is still checked.
"""

import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax

T = TypeVar("T")


def static(**kwargs: Any) -> Any:
    """A field that is part of the tree's structure: hashable, never traced."""
    return dataclasses.field(metadata={"static": True}, **kwargs)


@dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(static,)
)
def pytree(cls: type[T]) -> type[T]:
    """Makes `cls` a frozen keyword-only dataclass and registers it with jax."""
    cls = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    names = [f.name for f in dataclasses.fields(cls) if not f.metadata.get("static")]
    fixed = [f.name for f in dataclasses.fields(cls) if f.metadata.get("static")]

    def flatten_with_keys(node: T) -> tuple[Any, Any]:
        keyed = [(jax.tree_util.GetAttrKey(n), getattr(node, n)) for n in names]
        return keyed, tuple(getattr(node, n) for n in fixed)

    def flatten(node: T) -> tuple[Any, Any]:
        children = [getattr(node, n) for n in names]
        return children, tuple(getattr(node, n) for n in fixed)

    def unflatten(aux: Any, children: Any) -> T:
        node = object.__new__(cls)
        for name, value in zip([*names, *fixed], [*children, *aux], strict=True):
            object.__setattr__(node, name, value)
        return node

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


replace = dataclasses.replace
