"""Scenes by name: what a run is asked for, before any is opened."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from aw_jax.core.errors import UserError
from aw_jax.data.procedural.seeds import purpose


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProceduralScene:
    """The world of a seed."""

    seed: int

    @property
    def number(self) -> int:
        """Tells scenes of a run apart; their clips are planned by it."""
        return self.seed

    @property
    def stem(self) -> str:
        """Stands in file names."""
        return f"{self.seed:010d}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CapturedScene:
    """A posed capture on disk."""

    path: str
    number: int
    """Its place among the scenes of the run."""

    @property
    def stem(self) -> str:
        """Stands in file names."""
        return f"capture-{self.number:04d}"


SceneSource = ProceduralScene | CapturedScene


def parse(text: str) -> list[SceneSource]:
    """The scenes of `procedural:SEED:COUNT` or of `DIR,DIR,...`.

    Raises:
        UserError: another form, seeds of more than one purpose, or a missing folder.
    """
    if text.partition(":")[0] == "procedural":
        return list(map(as_source, procedural_seeds(text)))
    paths = [part for part in text.split(",") if part]
    for path in paths:
        if not Path(path).exists():
            raise UserError(
                f"--scenes={text}: expected procedural:SEED:COUNT or folders of "
                f"captures with commas between; there is no {path}."
            )
    return [CapturedScene(path=path, number=i) for i, path in enumerate(paths)]


def as_source(scene: SceneSource | int) -> SceneSource:
    """A seed stands for its world."""
    return ProceduralScene(seed=scene) if isinstance(scene, int) else scene


def procedural_seeds(text: str) -> list[int]:
    """The seeds that `procedural:SEED:COUNT` names.

    Raises:
        UserError: another form, or seeds of more than one purpose.
    """
    kind, _, rest = text.partition(":")
    first, _, count = rest.partition(":")
    if kind != "procedural" or not first.isdigit() or not count.isdigit():
        raise UserError(f"--scenes={text}: expected procedural:SEED:COUNT.")
    seeds = list(range(int(first), int(first) + int(count)))
    if not seeds:
        raise UserError(f"--scenes={text}: COUNT must be at least 1.")
    if purpose(seeds[0]) != purpose(seeds[-1]):
        raise UserError(
            f"--scenes={text}: seeds {seeds[0]} ({purpose(seeds[0])}) and {seeds[-1]} "
            f"({purpose(seeds[-1])}) serve different purposes; ask for fewer."
        )
    return seeds


def units(scenes: Sequence[SceneSource], size: int) -> list[tuple[SceneSource, ...]]:
    """Chunks of `size` scenes: what is made, or made again, as a whole."""
    return [tuple(scenes[i : i + size]) for i in range(0, len(scenes), size)]
