"""From a capture's folder to what a fit takes: photos, a start, and what to tell."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from aw_jax.core import atomic
from aw_jax.data.initial_points import InitialPointsConfig, initial_points
from aw_jax.data.photos import PhotoGroup, PhotoSize, load_photos
from aw_jax.data.scenes import load_scene
from aw_jax.data.splits import Split, SplitConfig, split
from aw_jax.data.views import Scene
from aw_jax.reconstruct.run import Start
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.targets import Targets


@dataclasses.dataclass(frozen=True, kw_only=True)
class Capture:
    """A capture with its split, the photos of both sides decoded."""

    scene: Scene
    split: Split
    train: tuple[Targets, ...]
    test: tuple[Targets, ...]
    """Measured, never learned from."""
    test_names: tuple[str, ...]
    """In the order of `test`."""

    @property
    def told(self) -> dict[str, Any]:
        """What metrics.json says of protocol, resolution, views and masks."""
        sizes = {group.images.shape[2:0:-1] for group in (*self.train, *self.test)}
        return {
            "protocol": self.split.protocol,
            "resolution": [list(size) for size in sorted(sizes)],
            "views": {"train": list(self.split.train), "test": list(self.split.test)},
            "masks": {"train": self._masks("train"), "test": self._masks("test")},
        }

    def _masks(self, side: str) -> int:
        """How many photos of a side have a mask that is used."""
        views = self.scene.named(getattr(self.split, side))
        return sum(view.mask_path is not None for view in views)


def load_capture(path: Path, config: SplitConfig, size: PhotoSize) -> Capture:
    """Reads the capture at `path`.

    Raises:
        UserError: no capture, a split that leaves a side empty, unreadable photos.
    """
    scene = load_scene(path)
    scene = scene if size.use_masks else scene.without_masks()
    sides = split(scene, config)
    train = load_photos(scene.named(sides.train), size)
    test = load_photos(scene.named(sides.test), size)
    return Capture(
        scene=scene,
        split=sides,
        train=_targets(train),
        test=_targets(test),
        test_names=tuple(name for group in test for name in group.names),
    )


def find_start(
    capture: Capture,
    config: InitialPointsConfig,
    *,
    seed: int,
    file: Path,
    splat: Splat | None = None,
    kept: Path | None = None,
) -> tuple[Start, dict[str, Any]]:
    """The start of a fit, and what metrics.json says of it.

    Args:
        capture: only its training views are used (but see `filter`).
        config: the protocol of initial points.
        seed: of points at random.
        file: keeps the points, so that a resumed run does not look for them again.
        splat: what to start from instead.
        kept: keeps the points that were triangulated, for other runs too.
    """
    if splat is not None:
        return Start(splat=splat), {"init": {"protocol": "splat"}}
    if not file.exists():
        scene, train = capture.scene, capture.split.train
        found = initial_points(scene, train, config, seed=seed, kept=kept)
        with atomic.replacing(file) as aside:
            np.savez(aside, **dataclasses.asdict(found))
    with np.load(file) as stored:
        start = Start(points=stored["points"], colors=stored["colors"])
        counts = {name: int(stored[name]) for name in ("triangulated", "added")}
        told = {"init": {"protocol": str(stored["protocol"])} | counts}
    return start, told


def _targets(groups: tuple[PhotoGroup, ...]) -> tuple[Targets, ...]:
    return tuple(group.targets for group in groups)
