"""Seconds a step of our fit takes on a CPU, over those of a build of OpenSplat.

  python scripts/prepare_colmap.py SCENE FOLDER
  python scripts/bench/opensplat.py --opensplat BUILD/opensplat --folder FOLDER

Both fit the same photos from the same points at full size, with all harmonics open and
no densification: a step of either is render, loss, gradients and Adam for as many
Gaussians. What starting and writing cost falls out: a run of OpenSplat of --short steps
is taken from one of --long steps. Turns are interleaved. The last line is JSON.

Run on desk (385 wide, 10,302 points, two cores) against two CPU builds, by GCC 12 at
-O3 with torch 2.13, cut to what COLMAP's folders need:

    1.1     pierotofy/OpenSplat with gsplat_cpu.cpp of 0aca3f0: one thread composites
    newest  the same, composited by the threads of WebODM/OpenSplat 1c99812 and with
            that repository's fused loss

The newest took half the time of 1.1: a ratio means nothing without the build it is to.
With this torch 1.1 sorts by wrong depths unless camDepths is made contiguous, as the
newest does: its splats look right in OpenSplat alone, and a step takes a little longer.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from cases import machine, ratio

from aw_jax.data.photos import PhotoSize, load_photos
from aw_jax.data.scenes import load_scene
from aw_jax.reconstruct import views
from aw_jax.runs.versions import versions
from aw_jax.splat import fit
from aw_jax.splat.fit_config import FitConfig, Schedule
from aw_jax.splat.fit_state import FitState
from aw_jax.splat.initialize import scene_scale
from aw_jax.splat.targets import Targets

NEVER = 10**6
OURS = 50  # steps a turn
ALIKE = ["--downscale-factor=1", "--num-downscales=0", "--sh-degree-interval=1"]
ALIKE += [f"--warmup-length={NEVER}", "--cpu"]


def opensplat(binary: Path, folder: Path, steps: int) -> float:
    """Seconds of a whole run."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "splat.ply"
        command = [str(binary), str(folder), f"--num-iters={steps}", f"--output={out}"]
        start = time.perf_counter()
        subprocess.run([*command, *ALIKE], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        if not out.is_file():
            sys.exit(f"error: {binary} wrote no {out.name}; is it OpenSplat?")
    return seconds


def ours(folder: Path) -> tuple[FitState, tuple[Targets, ...], FitConfig]:
    """A fit of no steps, its photos, and how it goes on."""
    scene = load_scene(folder)
    if scene.points is None:
        sys.exit(f"error: {folder} holds no points; make it by prepare_colmap.py.")
    groups = load_photos(scene.views, PhotoSize(max_side=None))
    targets = tuple(group.targets for group in groups)
    config = FitConfig(
        steps=NEVER,
        capacity=len(scene.points.positions),
        densify=None,
        schedule=Schedule(length=NEVER, sh_every=1),
    )
    state = fit.initial_state(
        scene.points.positions,
        scene.points.colors / np.float32(255),
        scene_scale=scene_scale(views.all_cameras(targets, width=16, height=16)),
        config=config,
        key=jax.random.key(0),
    )
    return state, targets, config


def advance(state: FitState, targets: tuple, config: FitConfig, by: int) -> FitState:
    until = int(state.step) + by
    key = jax.random.key(1)
    return fit.run(state, targets, config=config, until=until, key=key)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--opensplat", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--short", type=int, default=2)
    parser.add_argument("--long", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if not args.opensplat.is_file():
        sys.exit(f"error: --opensplat={args.opensplat}: expected OpenSplat's binary.")
    at_start = machine()
    state, targets, config = ours(args.folder)
    state = advance(state, targets, config, 5)  # compiles
    peers, mine = [], []
    for _ in range(args.rounds):
        short = opensplat(args.opensplat, args.folder, args.short)
        long = opensplat(args.opensplat, args.folder, args.long)
        peers.append((long - short) / (args.long - args.short))
        start = time.perf_counter()
        state = advance(state, targets, config, OURS)
        mine.append((time.perf_counter() - start) / OURS)
        told = f"ours {mine[-1]:.4f}, OpenSplat {peers[-1]:.4f}"
        print(f"seconds a step: {told}", flush=True)
    told = f"{statistics.median(peers) / statistics.median(mine):.1f} times as fast"
    print(f"{len(state.alive)} Gaussians: {told}")
    figures = {"native_fit_step_vs_opensplat": ratio(mine, peers)}
    found = {"figures": figures, "machine": at_start, "versions": versions()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
