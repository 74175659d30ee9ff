"""How varied the procedural worlds are: features they show, and nearest neighbours.

python scripts/measure_scenes.py [COUNT] [FIRST] [SHEET.png]

Of COUNT worlds (300) from test seed number FIRST (0) on, prints as one JSON object: the
share that shows each feature; of each histogram (aw_jax/data/procedural/diversity.py)
the smallest, 5th percentile and median distance to the nearest neighbour beside the
floor; beside these the distances between two captures of the same world, and between a
world and itself with every thing moved by a hand's breadth (layout), of the first
worlds. SHEET shows one photo of each of the first 24 worlds.
"""

import dataclasses
import json
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from aw_jax.core.pytrees import replace
from aw_jax.data.procedural import diversity, exposure
from aw_jax.data.procedural.captures import CaptureConfig, capture
from aw_jax.data.procedural.features import FEATURES, features
from aw_jax.data.procedural.rendering import develop, photograph, radiance
from aw_jax.data.procedural.seeds import TEST
from aw_jax.data.procedural.worlds import ProceduralWorld, scene
from aw_jax.images.quantise import quantise
from aw_jax.media import images
from aw_jax.runs.progress import say

CONFIG = CaptureConfig(frames=3, width=48, height=48)
TEXTURE_SIZE = 32
AGAIN, SHOWN = 30, 24
MOVE = 0.1
"""Metres."""


def moved(world: ProceduralWorld) -> ProceduralWorld:
    """The world with every primitive moved by MOVE in a random direction."""
    solids = world.matter.solids
    way = np.random.default_rng(world.seed).normal(size=solids.centers.shape)
    way *= MOVE / np.linalg.norm(way, axis=-1, keepdims=True)
    solids = replace(solids, centers=solids.centers + jnp.asarray(way, jnp.float32))
    return dataclasses.replace(world, matter=replace(world.matter, solids=solids))


def again(world: ProceduralWorld, first: dict[str, np.ndarray]) -> dict[str, float]:
    """Distances to another capture of the same world, and to the world moved."""
    photos = photograph(world, capture(world, CONFIG, variant=1))
    other = diversity.signature(moved(world), np.asarray(photos, float))
    return {name: float(diversity.distance(first[name], other[name])) for name in first}


def percentiles(values: np.ndarray, *which: float) -> list[float]:
    """Rounded percentiles."""
    return [round(float(x), 4) for x in np.percentile(values, which)]


def main(count: str = "300", first: str = "0", sheet: str = "") -> None:
    """Measures and prints."""
    seeds = TEST[int(first) : int(first) + int(count)]
    shown, found, same = [], [], []
    for number, seed in enumerate(seeds):
        world = scene(seed, texture_size=TEXTURE_SIZE)
        cameras = capture(world, CONFIG)
        light = radiance(world, cameras)
        gains = np.asarray(exposure.gains(light, strength=world.metering))
        shown.append(features(world, cameras, gains))
        found.append(diversity.signature(world, np.asarray(develop(light), float)))
        if number < AGAIN:
            same.append(again(world, found[-1]))
        if number % 20 == 19:
            say(f"{number + 1} worlds")
    told = {"worlds": len(seeds), "features": {}, "nearest": {}}
    for name in FEATURES:
        told["features"][name] = round(float(np.mean([name in x for x in shown])), 3)
    for name, floor in diversity.FLOORS.items():
        gaps = diversity.nearest(np.stack([one[name] for one in found]))
        alike = np.array([one[name] for one in same])
        told["nearest"][name] = {
            "floor": floor,
            "nearest, least 5 % half": percentiles(gaps, 0, 5, 50),
            "same world, 5 % half 95 %": percentiles(alike, 5, 50, 95),
            "farther than the same world": round(
                float((gaps > np.median(alike)).mean()), 3
            ),
        }
    print(json.dumps(told, indent=1))
    if sheet:
        write_sheet(Path(sheet), list(seeds[:SHOWN]))


def write_sheet(path: Path, seeds: list[int]) -> None:
    """One photo, 160 pixels a side, of each world, six in a row."""
    config = CaptureConfig(frames=3, width=160, height=160)
    photos = []
    for seed in seeds:
        world = scene(seed)
        photos.append(photograph(world, capture(world, config)[1:2])[0])
    rows = [
        jnp.concatenate(photos[i : i + 6], axis=1) for i in range(0, len(photos), 6)
    ]
    images.write(path, np.asarray(quantise(jnp.concatenate(rows))))


if __name__ == "__main__":
    main(*sys.argv[1:])
