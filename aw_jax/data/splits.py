"""Which views are trained on and which are tested (protocols).

Views are the photos that exist, in the order of their names' bytes, N of them. Tested
are the indices 0, `test_every`, 2 `test_every`, ...; the rest may be trained on, and n
are taken at equal steps: rest[floor(linspace(0, len(rest) - 1, n) + 1/2)].

    all    the whole rest
    ratio  n = max(2, floor(ratio N + 1/2))
    views  exactly n, or what is named, or the ids of a train_test_split_n.json
           (ReconFusion's form; ids count every photo listed, also those not on disk)
"""

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from aw_jax.core.errors import UserError
from aw_jax.data.views import Scene, sorted_names

_FEWEST_BY_RATIO = 2


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Which protocol, and its numbers."""

    protocol: Literal["all", "ratio", "views"] = "all"
    ratio: float = 0.1
    """Training views as a part of all views; of `ratio`."""
    views: int | None = None
    """How many training views; of `views`."""
    names: tuple[str, ...] = ()
    """The training views themselves, by name; of `views`."""
    file: str | None = None
    """A train_test_split_n.json; of `views`. By default the one beside the photos."""
    test_every: int = 8

    def __post_init__(self) -> None:
        """Refuses numbers no protocol can mean."""
        if not 0 < self.ratio <= 1:
            raise UserError(f"split.ratio must be in (0, 1], got {self.ratio}.")
        if self.views is not None and self.views < 1:
            raise UserError(f"split.views must be at least 1, got {self.views}.")
        if self.test_every < 2:
            raise UserError(
                f"split.test_every must be 2 or more, got {self.test_every}."
            )
        given = [self.views is not None, bool(self.names), self.file is not None]
        if self.protocol == "views" and not any(given):
            raise UserError(
                "split.protocol=views needs split.views, split.names or split.file."
            )


@dataclass(frozen=True, kw_only=True)
class Split:
    """Names of the training and test views, disjoint and neither empty."""

    protocol: str
    """What was done, for tables: "ratio 0.1"."""
    train: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuses an empty side."""
        for side in ("train", "test"):
            if not getattr(self, side):
                raise UserError(
                    f"the split '{self.protocol}' leaves no {side} view: change"
                    " split.views, split.ratio or split.test_every."
                )
        assert not set(self.train) & set(self.test), "a test view is trained on"


def split(scene: Scene, config: SplitConfig) -> Split:
    """The split of the scene's views.

    Raises:
        UserError: A view named is missing, more views are asked for than there are, or
            a side would be empty.
    """
    names = [view.name for view in scene.views]
    test, rest = names[:: config.test_every], _candidates(names, config.test_every)
    if config.protocol == "all":
        return Split(protocol="all", train=tuple(rest), test=tuple(test))
    if config.protocol == "ratio":
        count = max(_FEWEST_BY_RATIO, math.floor(config.ratio * len(names) + 0.5))
        train = evenly(rest, count)
        return Split(protocol=f"ratio {config.ratio:g}", train=train, test=tuple(test))
    if config.names:
        return _of_names(scene, config.names, test)
    file = _split_file(scene, config)
    if file is not None:
        return _of_file(scene, file)
    assert config.views is not None, "checked by SplitConfig"
    train = evenly(rest, config.views)
    return Split(protocol=f"views {config.views}", train=train, test=tuple(test))


def evenly(names: Sequence[str], count: int) -> tuple[str, ...]:
    """`count` of the names at equal steps, first and last among them."""
    if count > len(names):
        raise UserError(
            f"the split asks for {count} training views, but only {len(names)} are not"
            " test views: ask for fewer, or use split.protocol=all."
        )
    steps = np.linspace(0, len(names) - 1, count)
    return tuple(names[math.floor(step + 0.5)] for step in steps)


def _candidates(names: Sequence[str], test_every: int) -> list[str]:
    return [name for index, name in enumerate(names) if index % test_every]


def _of_names(scene: Scene, wanted: Collection[str], test: Sequence[str]) -> Split:
    """The named views against the test views that are not among them."""
    views = [scene.find(name, "split.names") for name in wanted]
    train = tuple(sorted_names({view.name for view in views}))
    test = tuple(name for name in test if name not in train)
    return Split(protocol=f"named {len(train)}", train=train, test=test)


def _split_file(scene: Scene, config: SplitConfig) -> Path | None:
    if config.file is not None:
        return Path(config.file)
    file = scene.path / f"train_test_split_{config.views}.json"
    return file if file.is_file() else None


def _of_file(scene: Scene, file: Path) -> Split:
    """The split a train_test_split_n.json holds."""
    try:
        content = json.loads(file.read_bytes())
        sides = [content["train_ids"], content["test_ids"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UserError(
            f'{file}: expected a JSON object with "train_ids" and "test_ids".'
        ) from None
    train, test = (_names_of_ids(scene, ids, file) for ids in sides)
    if set(train) & set(test):
        raise UserError(f"{file}: an id is in train_ids and in test_ids.")
    return Split(protocol=file.name, train=train, test=test)


def _names_of_ids(scene: Scene, ids: object, file: Path) -> tuple[str, ...]:
    listed = sorted_names([*scene.missing, *(view.name for view in scene.views)])
    if not isinstance(ids, list) or not all(
        type(i) is int and 0 <= i < len(listed) for i in ids
    ):
        raise UserError(
            f"{file}: expected lists of ids from 0 to {len(listed) - 1}, one for each"
            f" photo {scene.path} lists."
        )
    names = sorted_names({listed[i] for i in ids})
    for name in names:
        if name in scene.missing:
            raise UserError(f"{file}: the photo {name} is not on disk; restore it.")
    return tuple(names)
