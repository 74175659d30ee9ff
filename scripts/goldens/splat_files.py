"""Writes tests/golden/splat_files.npz: splat files by another program, and its reading.

The program is PlayCanvas' splat-transform, which has Niantic's own .spz code inside:
`npm install @playcanvas/splat-transform@2.7.1` in some folder, then

    python scripts/goldens/splat_files.py FOLDER/node_modules/.bin/splat-transform

It also reads back an .spz and a .splat that aw_jax wrote; what it found is stored
beside the files as Inria .ply.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from aw_jax.splat.files import save_splat
from aw_jax.splat.gaussians import Splat

GOLDEN = Path(__file__).parents[2] / "tests/golden/splat_files"


def cloud(count: int, degree: int) -> Splat:
    """Gaussians all over, most with values that every format holds."""
    draw = np.random.default_rng(count)
    given = {
        "means": draw.normal(0, 2, (count, 3)),
        "log_scales": draw.normal(-3, 1, (count, 3)),
        "quats": draw.normal(0, 1, (count, 4)),
        "logit_opacities": draw.normal(0, 1.5, count),
        "sh": draw.normal(0, 0.2, (count, (degree + 1) ** 2, 3)),
    }
    return Splat(**{name: jnp.asarray(a, jnp.float32) for name, a in given.items()})


def main(program: str) -> None:
    """Converts with `program` and stores all files as bytes."""
    found = {}

    def convert(source: str, target: str, *options: str) -> None:
        command = [program, "-q", "-w", *options, folder / source, folder / target]
        subprocess.run(command, check=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_splat(folder / "small.ply", cloud(20, 3))
        save_splat(folder / "chunks.ply", cloud(260, 1))
        for version in ("3", "4"):
            convert("small.ply", f"v{version}.spz", "--spz-version", version)
        convert("chunks.ply", "chunks.compressed.ply")
        convert("chunks.compressed.ply", "chunks_read.ply")
        for suffix in ("spz", "splat"):
            save_splat(folder / f"ours.{suffix}", cloud(20, 3))
            convert(f"ours.{suffix}", f"ours_{suffix}_read.ply")
        for path in sorted(folder.iterdir()):
            found[path.name] = np.frombuffer(path.read_bytes(), np.uint8)
    told = subprocess.run(
        [program, "--version"], check=True, capture_output=True, text=True
    )
    versions = {"upstream": {"splat-transform": (told.stdout + told.stderr).split()[1]}}
    np.savez_compressed(GOLDEN.with_suffix(".npz"), **found)
    GOLDEN.with_suffix(".json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
