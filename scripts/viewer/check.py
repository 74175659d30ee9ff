"""Opens a splat file in a kept web viewer and compares its picture with our render.

  (cd scripts/viewer && npm install)       # Spark, three.js, playwright-core
  python scripts/viewer/check.py SPLAT.ply --out DIR [--size 320x240]

Needs Node.js and Chromium (`apt install chromium`, or CHROMIUM=path). The viewer draws
in a software WebGL: minutes, not seconds. Exit code 1 if the page reports any error, if
it found another number of Gaussians, or if its picture is not ours (PSNR below 20 dB;
viewers blend in 8 bits, cut Gaussians off elsewhere and approximate their sizes).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import cv2
import jax.numpy as jnp
import numpy as np

from aw_jax.data.camera_files import write_cameras
from aw_jax.geometry.cameras import Cameras
from aw_jax.geometry.turntable import turntable
from aw_jax.images.psnr import psnr
from aw_jax.images.quantise import quantise
from aw_jax.media import images
from aw_jax.splat.files import load_splat
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.rasterize import render

HERE = Path(__file__).parent


def overview(splat: Splat, width: int, height: int) -> Cameras:
    """One camera that sees all of the splat."""
    means = np.asarray(splat.means)
    return turntable(means, frames=1, width=width, height=height)


def shoot(splat: Path, camera: Path, out: Path) -> int:
    """The viewer's picture; returns how many Gaussians it says it holds."""
    command = ["node", str(HERE / "shoot.mjs"), str(splat), str(camera), str(out)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: the viewer failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)["gaussians"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("splat", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", default="320x240")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    splat, path = load_splat(args.splat), args.splat.resolve()
    camera = overview(splat, *map(int, args.size.split("x")))
    write_cameras(args.out / "camera.json", camera)
    count = shoot(path, args.out / "camera.json", args.out / "viewer.png")
    ours = np.asarray(quantise(render(splat, camera[0]).color))
    images.write(args.out / "ours.png", ours)
    theirs = cv2.cvtColor(cv2.imread(str(args.out / "viewer.png")), cv2.COLOR_BGR2RGB)
    unit = lambda x: jnp.asarray(x, jnp.float32) / 255
    value = float(psnr(unit(theirs)[None], unit(ours)[None])[0])
    held = len(splat.means)
    print(f"viewer: {count} Gaussians of {held}, PSNR to our render {value:.2f} dB")
    if count != held or value < 20:
        sys.exit("error: the viewer shows something else.")


if __name__ == "__main__":
    main()
