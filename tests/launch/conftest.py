import importlib
import sys

import pytest
from absl import flags

from aw_jax.launch import app


class Launched:
    """One call of a launcher inside this process."""

    def __init__(self, status, lines):
        self.status = status
        self.lines = lines

    @property
    def errors(self):
        return [line for line in self.lines if line.startswith("error: ")]


@pytest.fixture
def launch(capfd):
    """Calls launcher `name` with arguments and catches what it says.

    Every call imports the launcher anew, since two may define flags of one name.
    """

    def call(name, *arguments):
        before = set(flags.FLAGS)
        sys.modules.pop(f"aw_jax.launch.{name}", None)
        module = importlib.import_module(f"aw_jax.launch.{name}")
        try:
            argv = [name, *arguments]
            if name == "convert":
                status = app.file_status(module.run, module.PRESET, argv)
            else:
                status = app.status(module.run, module.PRESET, module.OWN, argv)
        finally:
            for flag in set(flags.FLAGS) - before:
                delattr(flags.FLAGS, flag)
            for flag in before:
                flags.FLAGS[flag].unparse()
            flags.FLAGS.unparse_flags()
        return Launched(status, capfd.readouterr().err.splitlines())

    return call
