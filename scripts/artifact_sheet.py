"""A picture of every artifact type: one frame of a clean and of a broken clip.

python scripts/artifact_sheet.py docs/artifacts.png
python scripts/artifact_sheet.py runs/fox/artifacts.png --scene DIR --splat SPLAT.ply

The first fits a procedural scene; the second takes a capture and a splat fitted to it
(`python -m aw_jax.launch.fit`). Every type is drawn at the same severity.
"""

import argparse
from pathlib import Path

import cv2
import jax
import numpy as np

from aw_jax.core.arrays import UInt8
from aw_jax.core.keys import named
from aw_jax.data.photos import PhotoSize, load_photos
from aw_jax.data.procedural.seeds import DEMO
from aw_jax.data.procedural.worlds import scene
from aw_jax.data.scenes import load_scene
from aw_jax.dataengine.artifacts.breaking import EDITS, broken_clip
from aw_jax.dataengine.artifacts.subject import Subject, subject
from aw_jax.dataengine.dense_fit import DenseFitConfig, dense_capture, dense_fit
from aw_jax.geometry.paths import through
from aw_jax.images.quantise import quantise
from aw_jax.media import images
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.ply import load_ply

FRAMES = 9
SHORT_SIDE = 144
COLUMNS = 3
CAPTION = 16


def main() -> None:
    """Writes the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scene", type=Path, help="a capture, instead of a world")
    parser.add_argument("--splat", type=Path, help="a fit to the capture")
    parser.add_argument("--world", type=int, default=DEMO.start + 40)
    parser.add_argument("--severity", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=0, help="of what is random")
    asked = parser.parse_args()
    if (asked.scene is None) != (asked.splat is None):
        parser.error("--scene and --splat: expected both or neither")
    if asked.scene:
        shown = captured(asked.scene, load_ply(asked.splat))
    else:
        shown = procedural(asked.world)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    images.write(asked.out, sheet(shown, asked.severity, asked.seed))


def procedural(seed: int) -> Subject:
    """A dense fit of a procedural world, along half of its walk."""
    config, size = DenseFitConfig(), (SHORT_SIDE, SHORT_SIDE)
    seen = dense_capture(
        scene(seed), np.random.default_rng(seed), size=size, config=config
    )
    splat = dense_fit(
        seen.photos,
        seen.cameras,
        seen.points,
        seen.colors,
        config=config,
        key=jax.random.key(seed),
    )
    keys = seen.cameras[np.arange(config.views // 4, 3 * config.views // 4)]
    return subject(splat, through(keys, FRAMES), seen.cameras)


def captured(folder: Path, splat: Splat) -> Subject:
    """A fit along three neighbouring photos of its capture."""
    found = load_scene(folder)
    photos = load_photos(found.views, PhotoSize(short_side=SHORT_SIDE))[0]
    views = photos.targets.cameras
    middle = len(photos.names) // 2
    return subject(splat, through(views[middle - 1 : middle + 2], FRAMES), views)


def sheet(shown: Subject, severity: float, seed: int) -> UInt8[np.ndarray, "h w 3"]:
    """Of each type the frame it changes most, clean and broken, in a grid, named."""
    key = jax.random.key(seed)
    clean = np.asarray(quantise(shown.clean.color))
    cells = []
    for name in (*EDITS, "aliasing"):
        broken = broken_clip(shown, {name: severity}, named(key, name)).frames
        cells.append(_titled(*_pair(name, clean, broken)))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % COLUMNS)
    rows = [cells[i : i + COLUMNS] for i in range(0, len(cells), COLUMNS)]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def _pair(
    name: str, clean: UInt8[np.ndarray, "f h w 3"], broken: UInt8[np.ndarray, "f h w 3"]
) -> tuple[UInt8[np.ndarray, "h y 3"], str]:
    """Clean and broken side by side; of popping, which no frame shows, two in turn."""
    words = name.replace("_", " ")
    change = np.abs(broken.astype(np.float32) - clean).mean(axis=(1, 2, 3))
    frame = int(np.argmax(change))
    if name != "popping":
        return np.concatenate([clean[frame], broken[frame]], axis=1), f"clean | {words}"
    jump = broken.astype(np.float32) - clean
    jumps = np.abs(jump[1:] - jump[:-1]).mean(axis=(1, 2, 3))
    frame = int(np.argmax(jumps))
    pair = np.concatenate([broken[frame], broken[frame + 1]], axis=1)
    return pair, f"{words}: two frames in turn"


def _titled(
    picture: UInt8[np.ndarray, "h w 3"], words: str
) -> UInt8[np.ndarray, "y w 3"]:
    """The picture under a strip with these words, between thin black lines."""
    strip = np.zeros((CAPTION, picture.shape[1], 3), np.uint8)
    place, size = (3, CAPTION - 4), 0.42
    cv2.putText(strip, words, place, cv2.FONT_HERSHEY_SIMPLEX, size, (255,) * 3)
    return np.pad(np.concatenate([strip, picture]), ((0, 2), (0, 2), (0, 0)))


if __name__ == "__main__":
    main()
