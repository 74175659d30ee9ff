"""Nested dicts of plain values, by dotted path."""

from typing import Any


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """{dotted path: value} of nested dicts."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    flat = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else key)
    return flat


def diff(ours: Any, theirs: Any) -> dict[str, tuple[Any, Any]]:
    """{dotted path: (ours, theirs)} wherever two nested dicts part."""
    a, b = flatten(ours), flatten(theirs)
    paths = [*a, *(path for path in b if path not in a)]
    return {p: (a.get(p), b.get(p)) for p in paths if a.get(p) != b.get(p)}
