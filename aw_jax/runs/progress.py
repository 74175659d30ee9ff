"""Progress of long work, on stderr: a bar on a terminal, sparse lines elsewhere."""

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from aw_jax.core import atomic

SAY_EVERY = 10.0
"""Seconds between two lines about the steps of a phase."""


def say(text: str) -> None:
    """One line about what begins or ended."""
    tqdm.write(text, file=sys.stderr)


class Progress:
    """Counts steps of one piece of work and shows how far it is."""

    def __init__(self, name: str, total: int, *, start: int = 0) -> None:
        interval = 0.2 if sys.stderr.isatty() else 15.0
        self._bar = tqdm(
            total=total,
            initial=start,
            desc=name,
            file=sys.stderr,
            mininterval=interval,
            dynamic_ncols=True,
        )

    def update(self, step: int, **figures: float) -> None:
        """Moves to `step` and shows `figures` beside it."""
        text = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(step - self._bar.n)

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()


@contextmanager
def progress(
    name: str, total: int, *, start: int = 0
) -> Generator[Progress, None, None]:
    """A `Progress` that is closed at the end of the block."""
    bar = Progress(name, total, start=start)
    try:
        yield bar
    finally:
        bar.close()


class Phases:
    """Says which phase begins, and keeps the seconds of each in a file.

    Calling it gives the context of one phase; phases may be nested, then the outer one
    counts the inner one's time too.
    """

    def __init__(self, file: Path) -> None:
        """Goes on from the seconds that an earlier start left in `file`."""
        self._file = file
        self.seconds: dict[str, float] = {}
        if file.exists():
            self.seconds = atomic.read_json(file)
        self._said = 0.0

    @contextmanager
    def __call__(self, name: str) -> Generator[None, None, None]:
        """Adds the time of the block to phase `name`."""
        say(f"[{name}]")
        begin = time.perf_counter()
        try:
            yield
        finally:
            gone = time.perf_counter() - begin
            self.seconds[name] = self.seconds.get(name, 0.0) + gone
            atomic.write_json(self._file, self.seconds)

    def on_step(self, step: int, **figures: float) -> None:
        """Says where a long phase is, at most every few seconds."""
        now = time.monotonic()
        if now - self._said > SAY_EVERY:
            self._said = now
            text = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
            say(f"  step {step}: {text}")
