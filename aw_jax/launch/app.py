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
from pathlib import Path
from typing import Any, TypeVar

from absl import app, flags

from aw_jax.config import overrides, recipes
from aw_jax.config.report import to_dict
from aw_jax.core.errors import UserError
from aw_jax.runs.folder import RunFolder
from aw_jax.runs.memory import keep_freed_pages, return_pages_after_compiling
from aw_jax.runs.progress import say

C = TypeVar("C")
FLAGS = flags.FLAGS

flags.DEFINE_string("config", None, "A recipe: a python file with get_config().")
flags.DEFINE_string("out", None, "The folder of this run; the same one resumes.")
flags.DEFINE_integer("seed", 0, "The seed of everything random.", lower_bound=0)
flags.DEFINE_boolean("debug", False, "Show the traceback of an error.")

SHARED = ("seed",)
USER_ERROR = 2
INTERRUPTED = 130


def launch(run: Callable[[C, RunFolder], None], preset: C, own: Sequence[str]) -> None:
    """Parses the command line, opens the run's folder, and calls `run`.

    `run` checks its input before it calls `RunFolder.begin`: then an error leaves
    `--out` as it was.

    Args:
        run: the launcher's work on a config and a folder.
        preset: the config without a recipe; a recipe must be of its type.
        own: names of the launcher's own flags; they are noted with the config.
    """
    _mind_memory()
    sys.exit(status(run, preset, own, sys.argv))


def launch_file(run: Callable[[C], None], preset: C) -> None:
    """As `launch`, for work whose result is one file: no folder, nothing to resume."""
    _mind_memory()
    sys.exit(file_status(run, preset, sys.argv))


def _mind_memory() -> None:
    keep_freed_pages()
    return_pages_after_compiling()


def status(
    run: Callable[[C, RunFolder], None],
    preset: C,
    own: Sequence[str],
    argv: Sequence[str],
) -> int:
    """What `launch` leaves with: 0, 2 after a user's error, 130 after Ctrl-C."""

    def work() -> None:
        config = _config(preset, argv)
        flagged = {name: FLAGS[name].value for name in (*own, *SHARED)}
        folder = RunFolder(required("out"), {"config": to_dict(config)} | flagged)
        if folder.finished:
            say(f"{folder.path} is finished: see {folder.path / 'metrics.json'}.")
        else:
            run(config, folder)

    return _attempt(work, "Interrupted; the same command goes on from here.")


def file_status(run: Callable[[C], None], preset: C, argv: Sequence[str]) -> int:
    """What `launch_file` leaves with."""

    def work() -> None:
        config = _config(preset, argv)
        if FLAGS.out is not None:
            raise UserError("--out is for launchers of runs; this one writes a file.")
        run(config)

    return _attempt(work, "Interrupted; nothing was written.")


def _attempt(work: Callable[[], None], interrupted: str) -> int:
    logging.getLogger("absl").setLevel(logging.WARNING)
    try:
        work()
    except UserError as error:
        return _complain(error)
    except KeyboardInterrupt:
        print(f"\n{interrupted}", file=sys.stderr)
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
    """The value of a flag that the launcher cannot do without.

    Raises:
        UserError: it was not given.
    """
    value = FLAGS[name].value
    if value is None:
        raise UserError(f"--{name} is missing; --help says what it takes.")
    return value


def existing(name: str) -> Path:
    """The path of a flag, which must exist.

    Raises:
        UserError: it was not given, or there is nothing.
    """
    path = Path(required(name))
    if not path.exists():
        raise UserError(f"--{name}={path}: there is no such file or folder.")
    return path


def one_of(name: str) -> tuple[int, int]:
    """(I, N) of a flag "I/N": this process does every N-th part, from the I-th on.

    Raises:
        UserError: another form, or not 0 <= I < N.
    """
    text = required(name)
    part, _, parts = text.partition("/")
    if not (part.isdigit() and parts.isdigit() and int(part) < int(parts)):
        raise UserError(f"--{name}={text}: expected I/N with 0 <= I < N.")
    return int(part), int(parts)
