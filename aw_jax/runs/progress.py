"""Progress of long work, on stderr: a bar on a terminal, sparse lines elsewhere."""

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

from tqdm import tqdm


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


class Stopwatch:
    """Seconds by phase, summed over restarts: start it from what was spent before."""

    def __init__(self, spent: dict[str, float] | None = None) -> None:
        self.seconds = dict(spent or {})

    @contextmanager
    def phase(self, name: str) -> Generator[None, None, None]:
        """Adds the time of the block to `name`."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            gone = time.perf_counter() - begin
            self.seconds[name] = self.seconds.get(name, 0.0) + gone
