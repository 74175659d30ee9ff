"""Writes a procedural place as a capture: photos with poses, as a phone would take it.

python scripts/demo_scene.py OUT [SEED] [PHOTOS]
"""

import sys
from pathlib import Path

from aw_jax.data.procedural import captures, export, seeds, worlds
from aw_jax.runs.progress import say


def main(out: str, number: str = "0", photos: str = "33") -> None:
    """Writes photos and transforms.json of demo world `number` into `out`."""
    if (Path(out) / "transforms.json").exists():
        say(f"{out} holds the scene already")
        return
    seed = seeds.require(seeds.DEMO[int(number)], "demo")
    world = worlds.scene(seed)
    config = captures.CaptureConfig(frames=int(photos), width=288, height=216)
    export.write(world, out, captures.capture(world, config))
    say(f"wrote {photos} photos of demo world {number} to {out}")


if __name__ == "__main__":
    main(*sys.argv[1:])
