"""Recipes: python files whose `get_config()` returns one frozen config."""

import importlib.util
from pathlib import Path
from typing import TypeVar

from aw_jax.core.errors import UserError

C = TypeVar("C")


def load(path: str, kind: type[C]) -> C:
    """The config of the recipe at `path`, which must be a `kind`.

    Raises:
        UserError: no such file, a recipe that fails, or one for another launcher.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"--config={path}: no such recipe file.")
    spec = importlib.util.spec_from_file_location(f"recipe_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UserError(f"--config={path}: expected a python file (*.py).")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config()
    except Exception as error:
        name = type(error).__name__
        raise UserError(
            f"--config={path}: the recipe fails, {name}: {error}"
        ) from error
    if not isinstance(config, kind):
        raise UserError(
            f"--config={path}: expected a recipe for {kind.__name__}, "
            f"got one for {type(config).__name__}."
        )
    return config
