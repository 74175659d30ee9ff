"""Where the time of a simulation goes."""

import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager


class Stages:
    """Seconds by stage; calling it gives the context of one stage.

    A stage hands over finished arrays, so that no work of one counts in the next.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, name: str) -> Generator[None, None, None]:
        """Adds the time of the block to `name`."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - begin
