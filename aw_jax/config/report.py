"""A config as plain data: what a run writes down, and its difference."""

import dataclasses
from typing import Any

from aw_jax.core import trees


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


def diff(ours: Any, theirs: Any) -> dict[str, tuple[Any, Any]]:
    """{dotted path: (ours, theirs)} wherever two configs part."""
    return trees.diff(to_dict(ours), to_dict(theirs))
