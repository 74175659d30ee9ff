"""A config as plain data, there and back: what runs and weights write down."""

import dataclasses
import typing
from typing import Any, TypeVar

from aw_jax.core import trees

C = TypeVar("C")


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


def from_dict(kind: type[C], data: dict[str, Any]) -> C:
    """The config of dataclass `kind` that `to_dict` made `data` from.

    Raises:
        ValueError: a field is unknown, or its value is refused by the config.
    """
    hints = typing.get_type_hints(kind)
    unknown = set(data) - set(hints)
    if unknown:
        raise ValueError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}.")
    return kind(**{name: _valued(hints[name], value) for name, value in data.items()})


def _valued(hint: Any, value: Any) -> Any:
    if isinstance(value, dict):
        kinds = [
            k for k in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(k)
        ]
        fits = lambda kind: set(value) == {f.name for f in dataclasses.fields(kind)}
        chosen = next(filter(fits, kinds), next(iter(kinds), None))
        return value if chosen is None else from_dict(chosen, value)
    return tuple(value) if isinstance(value, list) else value
