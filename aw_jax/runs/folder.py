"""A run's folder: what was asked, with what, and what came out.

    config.json    the resolved config and the launcher's own flags
    versions.json  packages, git revision, platform
    metrics.json   the figures; its presence means that the run is finished

Started again into the same folder, a run goes on where it stopped.
"""

from pathlib import Path
from typing import Any

from aw_jax.core import atomic
from aw_jax.core.errors import UserError
from aw_jax.core.trees import diff
from aw_jax.runs.versions import versions


class RunFolder:
    """The folder of one run; nothing is written before `begin`."""

    def __init__(self, path: str | Path, asked: dict[str, Any]) -> None:
        """Checks that `path` is new, empty or holds the same run.

        Args:
            path: the folder.
            asked: resolved config and flags as JSON-ready data.

        Raises:
            UserError: the folder holds something else, or a run that was asked for
                something else.
        """
        self.path = Path(path)
        self.asked = asked
        self._check()

    def begin(self) -> None:
        """Makes the folder and writes config.json, then versions.json.

        The config comes first: from then on the folder is this run's, whoever looks.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.config_file.exists():
            atomic.write_json(self.config_file, self.asked)
        if not (self.path / "versions.json").exists():
            atomic.write_json(self.path / "versions.json", versions())

    def finish(self, metrics: dict[str, Any]) -> None:
        """Writes metrics.json, which marks the run as finished."""
        atomic.write_json(self.path / "metrics.json", metrics)

    @property
    def config_file(self) -> Path:
        """Where the resolved config stands."""
        return self.path / "config.json"

    @property
    def finished(self) -> bool:
        """Whether an earlier start ran to its end."""
        return (self.path / "metrics.json").exists()

    def _check(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"--out={self.path}: expected a folder, got a file.")
        if not self.config_file.exists():
            if self.path.exists() and any(map(_is_content, self.path.iterdir())):
                raise UserError(
                    f"--out={self.path}: the folder is not empty and holds no run "
                    "(no config.json); name another folder."
                )
            return
        was = atomic.read_json(self.config_file)
        changed = diff(self.asked, was)
        if changed:
            path, (ours, theirs) = next(iter(changed.items()))
            raise UserError(
                f"--out={self.path} holds a run with {path}={theirs}, now asked for "
                f"{path}={ours} ({len(changed)} fields differ); name another folder."
            )


def _is_content(path: Path) -> bool:
    """Not the temporary file of a run that begins in the same folder just now."""
    return not path.name.startswith(".")
