"""Dotted overrides: `--config.fit.steps=700` sets one field of a frozen config.

Taken out of argv before absl parses it, walked by path, parsed by the declared type and
rebuilt with `dataclasses.replace`, so that every validation runs again. Where a field
may hold one of several groups, a word chooses: `--config.fit.densify=mcmc` is that
group with its defaults, and its fields can be set after it.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

from aw_jax.core.errors import UserError

C = TypeVar("C")
PREFIX = "--config."


def take(argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """What is left of `argv`, and the overrides {dotted path: text} it held."""
    rest, overrides = [], {}
    words = iter(argv)
    for word in words:
        if not word.startswith(PREFIX):
            rest.append(word)
            continue
        path, equals, text = word.removeprefix(PREFIX).partition("=")
        if not equals:
            text = next(words, "")
        overrides[path] = text
    return rest, overrides


def apply(config: C, overrides: dict[str, str]) -> C:
    """`config` with every override set; a typo is answered with the nearest field."""
    for path, text in overrides.items():
        config = _set(config, path.split("."), text, path)
    return config


def _set(config: Any, names: list[str], text: str, path: str) -> Any:
    name, rest = names[0], names[1:]
    hint = _hint(config, name, path)
    old = getattr(config, name)
    groups = _groups(hint)
    if rest and old is None and groups:
        raise _unchosen(groups, path.removesuffix("." + ".".join(rest)), path)
    if rest:
        new = _set(old, rest, text, path)
    elif groups:
        new = _chosen(text, groups, hint, path)
    elif dataclasses.is_dataclass(old):
        raise UserError(
            f"--config.{path} is a group of fields, not a value; set one of "
            f"{', '.join(f.name for f in dataclasses.fields(old))} inside it."
        )
    else:
        new = parse(text, hint, path)
    try:
        return dataclasses.replace(config, **{name: new})
    except ValueError as error:
        raise UserError(f"--config.{path}={text}: {error}") from error


def _hint(config: Any, name: str, path: str) -> Any:
    known = [f.name for f in dataclasses.fields(config)] if _has_fields(config) else []
    if name in known:
        return typing.get_type_hints(type(config))[name]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    remedy = (
        f"Did you mean '{nearest[0]}'?" if nearest else f"It has {', '.join(known)}."
    )
    raise UserError(
        f"--config.{path}: {type(config).__name__} has no field '{name}'. {remedy}"
    )


def _groups(hint: Any) -> tuple[Any, ...]:
    """The groups of fields among the alternatives of a union."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return ()
    return tuple(k for k in typing.get_args(hint) if dataclasses.is_dataclass(k))


def _word(group: Any) -> str:
    """What chooses a group: its `word`, or else its name."""
    return getattr(group, "word", group.__name__).lower()


def _chosen(text: str, groups: tuple[Any, ...], hint: Any, path: str) -> Any:
    words = {_word(group): group for group in groups}
    if text.lower() in words:
        return words[text.lower()]()
    optional = type(None) in typing.get_args(hint)
    if optional and text.lower() == "none":
        return None
    raise _expected(path, " or ".join([*words, *["none"] * optional]), text)


def _unchosen(groups: tuple[Any, ...], field: str, path: str) -> UserError:
    words = " or ".join(map(_word, groups))
    return UserError(
        f"--config.{path}: {field} is none; choose {words} before, as in "
        f"--config.{field}={_word(groups[0])}."
    )


def _has_fields(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def parse(text: str, hint: Any, path: str) -> Any:
    """`text` as a value of the declared type `hint`."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _parse_union(text, args, path)
    if origin is typing.Literal:
        return _parse_literal(text, args, path)
    if origin is tuple:
        items = [item for item in text.strip("()[]").split(",") if item.strip()]
        kinds = [args[0]] * len(items) if args[-1] is Ellipsis else args
        if len(items) != len(kinds):
            raise _expected(path, f"{len(kinds)} values with commas between", text)
        pairs = zip(items, kinds, strict=True)
        return tuple(parse(item.strip(), kind, path) for item, kind in pairs)
    if hint is bool:
        words = {"true": True, "1": True, "false": False, "0": False}
        if text.lower() not in words:
            raise _expected(path, "true or false", text)
        return words[text.lower()]
    return _parse_scalar(text, hint, path)


def _parse_scalar(text: str, hint: Any, path: str) -> Any:
    try:
        return hint(text)
    except (TypeError, ValueError):
        raise _expected(path, getattr(hint, "__name__", str(hint)), text) from None


def _parse_union(text: str, kinds: tuple[Any, ...], path: str) -> Any:
    if text.lower() == "none" and type(None) in kinds:
        return None
    for kind in kinds:
        if kind is type(None):
            continue
        try:
            return parse(text, kind, path)
        except UserError:
            continue
    raise _expected(
        path, " or ".join(getattr(k, "__name__", str(k)) for k in kinds), text
    )


def _parse_literal(text: str, choices: tuple[Any, ...], path: str) -> Any:
    for choice in choices:
        if text == str(choice):
            return choice
    raise _expected(path, " or ".join(str(c) for c in choices), text)


def _expected(path: str, kind: str, text: str) -> UserError:
    return UserError(f"--config.{path}: expected {kind}, got '{text}'.")
