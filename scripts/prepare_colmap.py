"""Writes a capture as COLMAP folders that other trainers read, split as ours is.

python scripts/prepare_colmap.py SCENE OUT [--config.split.protocol=ratio ...]

OUT holds the training views (images, masks where there are any, sparse/0 with PINHOLE
cameras and the points a fit of ours starts from), OUT/test the held-out ones with the
same points. Photos are undistorted and have the size `fit` works at. Options are those
of `aw_jax.launch.fit`: --config.split, .photos and .points, --config.seed of points at
random, and --config.kept for its --points.

Train any peer on all of OUT, with no split of its own. scripts/score_splat.py measures
its splat as `fit` does ours. Or let it render OUT/test, name the frames as those of
OUT/test/images are, and score them like the frames/final of our `fit`:

python -m aw_jax.launch.evaluate --task=reconstruction --out=DIR --pred=FRAMES
    --gt=OUT/test/images --config.masks=OUT/test/masks

What a mask blackens counts as right. Without masks in SCENE there are none in OUT/test,
and the last option must be left out.
"""

import dataclasses
import sys
from pathlib import Path

from aw_jax.config import overrides
from aw_jax.core.errors import UserError
from aw_jax.data.colmap_export import write_colmap
from aw_jax.data.initial_points import InitialPointsConfig, initial_points
from aw_jax.data.photos import PhotoSize
from aw_jax.data.scenes import load_scene
from aw_jax.data.splits import SplitConfig, split
from aw_jax.runs.progress import say


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """What is written; the defaults are those of `fit`."""

    split: SplitConfig = SplitConfig()
    photos: PhotoSize = PhotoSize(max_side=800)
    points: InitialPointsConfig = InitialPointsConfig()
    seed: int = 0
    kept: str | None = None
    """A file that triangulated points are read from, and first put into."""


def prepare(scene_path: str, out: Path, config: PrepareConfig) -> None:
    """Writes both folders.

    Raises:
        UserError: `out` holds something, or the scene or its split cannot be read.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not empty: name another folder.")
    scene = load_scene(scene_path)
    scene = scene if config.photos.use_masks else scene.without_masks()
    sides = split(scene, config.split)
    kept = None if config.kept is None else Path(config.kept)
    seed, train = config.seed, sides.train
    points = initial_points(scene, train, config.points, seed=seed, kept=kept)
    write_colmap(out, scene.named(sides.train), config.photos, points)
    test = scene.named(sides.test)
    write_colmap(out / "test", test, config.photos, points, measured=True)
    say(
        f"wrote {len(sides.train)} training views ({sides.protocol}) with"
        f" {points.triangulated} points and {points.added} at random to {out}, and"
        f" {len(sides.test)} held-out views to {out / 'test'}"
    )


def main(arguments: list[str]) -> int:
    """The exit code: 2 after a user's error, told in one line."""
    try:
        places, wanted = overrides.take(arguments)
        if len(places) != 2:
            raise UserError(f"expected SCENE OUT, got {' '.join(places) or 'nothing'}.")
        prepare(places[0], Path(places[1]), overrides.apply(PrepareConfig(), wanted))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
