"""Figures that are kept as they are measured, so that an evaluation can be resumed.

A line of items.jsonl holds one item's figures and a checksum of the frames that were
measured: an item whose frames have changed since is measured again.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from aw_jax.core import atomic
from aw_jax.runs.folder import RunFolder
from aw_jax.runs.progress import progress

ITEMS = "items.jsonl"
T = TypeVar("T")
Figures = dict[str, Any]


class Measured:
    """What has been measured so far; without a folder nothing is kept or shown."""

    def __init__(self, folder: RunFolder | None = None) -> None:
        self._folder = folder
        self._known = {} if folder is None else _lines(folder.path / ITEMS)

    def through(self, items: Sequence[T]) -> Iterator[T]:
        """The items behind a bar that moves; the run's folder begins with the first."""
        if self._folder is None:
            yield from items
            return
        self._folder.begin()
        with progress("evaluate", len(items)) as bar:
            for done, item in enumerate(items):
                bar.update(done)
                yield item
            bar.update(len(items))

    def figures(
        self, name: str, frames: Sequence[np.ndarray], measure: Callable[[], Figures]
    ) -> Figures:
        """Those of an earlier start if the frames are the same, else `measure()`'s."""
        digest = _digest(frames)
        if (name, digest) not in self._known:
            self._known[name, digest] = measure()
            self._keep(name, digest)
        return self._known[name, digest]

    def _keep(self, name: str, digest: str) -> None:
        if self._folder is None:
            return
        line = {"name": name, "sha256": digest, "figures": self._known[name, digest]}
        with (self._folder.path / ITEMS).open("a") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")


def _lines(path: Path) -> dict[tuple[str, str], Figures]:
    """The figures in `path`; a last line that was cut off does not count."""
    if not path.exists():
        return {}
    whole, _, cut = path.read_text().rpartition("\n")
    if cut:
        atomic.write_text(path, f"{whole}\n" if whole else "")
    lines = map(json.loads, whole.splitlines())
    return {(line["name"], line["sha256"]): line["figures"] for line in lines}


def _digest(frames: Sequence[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in frames:
        digest.update(repr((array.shape, str(array.dtype))).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
