"""What every launcher shares: flags, config, one-line errors, resume on Ctrl-C.

--config=FILE        a recipe; without one, the launcher's preset
--config.a.b=VALUE   sets one field of the config
--out=DIR            where results go; the same folder resumes
--seed=N             the seed of everything random
--debug              shows the traceback of an error
"""

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from absl import app, flags

from aw_jax.config import overrides, recipes
from aw_jax.core.errors import UserError

C = TypeVar("C")
FLAGS = flags.FLAGS

flags.DEFINE_string("config", None, "A recipe: a python file with get_config().")
flags.DEFINE_string("out", None, "The folder of this run; the same one resumes.")
flags.DEFINE_integer("seed", 0, "The seed of everything random.")
flags.DEFINE_boolean("debug", False, "Show the traceback of an error.")

USER_ERROR = 2
INTERRUPTED = 130


def launch(run: Callable[[C], None], preset: C) -> None:
    """Parses the command line, resolves the config and calls `run` with it.

    Args:
        run: the launcher's work; reads its own flags from `FLAGS`.
        preset: the config without a recipe; a recipe must be of its type.
    """
    sys.exit(_status(run, preset, sys.argv))


def _status(run: Callable[[C], None], preset: C, argv: Sequence[str]) -> int:
    logging.getLogger("absl").setLevel(logging.WARNING)
    try:
        run(_config(preset, argv))
    except UserError as error:
        return _complain(error)
    except KeyboardInterrupt:
        print("\nInterrupted; the same command goes on from here.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _config(preset: C, argv: Sequence[str]) -> C:
    rest, wanted = overrides.take(argv)
    app.define_help_flags()
    try:
        extra = FLAGS(rest)[1:]
    except flags.Error as error:
        FLAGS.mark_as_parsed()
        raise UserError(f"{error} (--help lists the flags)") from error
    if extra:
        raise UserError(f"'{extra[0]}' is no flag; write --NAME=VALUE.")
    config: Any = preset
    if FLAGS.config:
        config = recipes.load(FLAGS.config, type(preset))
    return overrides.apply(config, wanted)


def _complain(error: UserError) -> int:
    if FLAGS.debug:
        raise error
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return USER_ERROR


def required(name: str) -> Any:
    """The value of a flag that the launcher cannot do without."""
    value = FLAGS[name].value
    if value is None:
        raise UserError(f"--{name} is missing; --help says what it takes.")
    return value
