"""A config as plain data: what a run writes down, and how two configs differ."""

import dataclasses
from typing import Any


def to_dict(config: Any) -> Any:
    """The config as JSON-ready dicts, lists and scalars."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        fields = dataclasses.fields(config)
        return {f.name: to_dict(getattr(config, f.name)) for f in fields}
    if isinstance(config, (list, tuple)):
        return [to_dict(item) for item in config]
    if isinstance(config, dict):
        return {str(key): to_dict(value) for key, value in config.items()}
    if config is None or isinstance(config, (bool, int, float, str)):
        return config
    return str(config)


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """{dotted path: value} of a tree made by `to_dict`."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    flat = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else key)
    return flat


def diff(ours: Any, theirs: Any) -> dict[str, tuple[Any, Any]]:
    """{dotted path: (ours, theirs)} wherever two configs or their dicts part."""
    a, b = flatten(to_dict(ours)), flatten(to_dict(theirs))
    paths = [*a, *(path for path in b if path not in a)]
    return {p: (a.get(p), b.get(p)) for p in paths if a.get(p) != b.get(p)}
