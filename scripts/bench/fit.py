"""Adaptive density control against MCMC on whole captures: PSNR, seconds, Gaussians.

  python scripts/bench/fit.py --out DIR [--scenes fox,desk] [--seeds 3] [--steps 7000]
                              [--side-by-side N]

Every fit is one call of the launcher, with all training views and points of their own
matches, which DIR/points keeps: photos are matched once a scene, before its fits. MCMC
may have as many Gaussians as adaptive control ended with, of the same seed. A fit that
is there is not made again, and one that was stopped goes on. The last line is JSON:
means over seeds, and `mcmc_minus_adc` in dB.

A fit has all cores, or with `--side-by-side N` (Linux) one of N shares of them, beside
N - 1 other fits: then seconds are those of a share. `cores` tells which.
"""

import argparse
import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCENES = Path(os.environ.get("AW_SHARED", ROOT.parent / "shared")) / "scenes"
SIZES = {
    "fox": ["--config.photos.max_side=none", "--config.photos.short_side=270"],
    "desk": ["--config.photos.max_side=385"],
}


Figures = dict[str, float]


def launcher(scene: str, points: Path, *options: str) -> list[str]:
    """The command of a fit of `scene`, which keeps its points."""
    given = [f"--scene={SCENES / scene}", f"--points={points / scene}.npz"]
    return [sys.executable, "-m", "aw_jax.launch.fit", *given, *SIZES[scene], *options]


def matched(scene: str, points: Path) -> None:
    """Keeps the scene's points, by a fit of one step, unless they are there."""
    if (points / f"{scene}.npz").is_file():
        return
    with tempfile.TemporaryDirectory() as out:
        options = [f"--out={out}/fit", "--config.fit.steps=1"]
        subprocess.run(launcher(scene, points, *options), check=True)


def fitted(command: list[str], out: Path, cores: set[int]) -> Figures:
    """What a fit ended with; it is made unless it is there, on `cores`."""
    metrics = out / "metrics.json"
    if not metrics.is_file():
        bound = [] if cores == every_core() else ["taskset", "-c", _listed(cores)]
        subprocess.run([*bound, *command, f"--out={out}"], check=True)
    told = json.loads(metrics.read_text())
    return {
        "psnr": told["final"]["psnr"],
        "seconds": told["seconds"]["fit"],
        "gaussians": told["gaussians"],
    }


def pair(
    scene: str, out: Path, seed: int, steps: int, cores: set[int]
) -> dict[str, Figures]:
    """Both fits of one seed, one after the other."""
    common = [f"--seed={seed}", f"--config.fit.steps={steps}"]
    command = launcher(scene, out / "points", *common)
    adc = fitted(command, out / f"{scene}_adc_{seed}", cores)
    cap = f"--config.fit.densify.cap={adc['gaussians']}"
    chain = [*command, "--config=configs/fit_mcmc.py", cap]
    mcmc = fitted(chain, out / f"{scene}_mcmc_{seed}", cores)
    print(f"{scene} seed {seed}: adc {adc} mcmc {mcmc}", flush=True)
    return {"adc": adc, "mcmc": mcmc}


def means(pairs: list[dict[str, Figures]]) -> dict[str, Any]:
    """The figures of a scene, over seeds."""
    told: dict[str, Any] = {
        kind: {
            name: statistics.fmean(both[kind][name] for both in pairs)
            for name in ("psnr", "seconds", "gaussians")
        }
        for kind in ("adc", "mcmc")
    }
    gains = [both["mcmc"]["psnr"] - both["adc"]["psnr"] for both in pairs]
    return told | {"mcmc_minus_adc": statistics.fmean(gains), "seeds": len(pairs)}


def every_core() -> set[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _listed(cores: set[int]) -> str:
    return ",".join(map(str, sorted(cores)))


def shares(count: int) -> queue.SimpleQueue[set[int]]:
    """The cores in `count` parts of equal size."""
    cores, free = sorted(every_core()), queue.SimpleQueue[set[int]]()
    if not 1 <= count <= len(cores):
        sys.exit(f"error: --side-by-side must be 1 to {len(cores)} (cores): {count}.")
    size = len(cores) // count
    for start in range(0, size * count, size):
        free.put(set(cores[start : start + size]))
    return free


def measured(options: argparse.Namespace, out: Path) -> dict[str, Any]:
    """The figures of every scene, from fits side by side."""
    names, free = options.scenes.split(","), shares(options.side_by_side)
    for name in names:
        matched(name, out / "points")

    def work(scene: str, seed: int) -> dict[str, Figures]:
        cores = free.get()
        try:
            return pair(scene, out, seed, options.steps, cores)
        finally:
            free.put(cores)

    with ThreadPoolExecutor(options.side_by_side) as pool:
        jobs = {
            name: [pool.submit(work, name, seed) for seed in range(options.seeds)]
            for name in names
        }
        return {name: means([x.result() for x in jobs[name]]) for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", default="fox,desk")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--side-by-side", type=int, default=1, metavar="N")
    options = parser.parse_args()
    os.chdir(ROOT)
    told = measured(options, options.out.absolute())
    cores = len(every_core()) // options.side_by_side
    print(json.dumps(told | {"cores": cores}))


if __name__ == "__main__":
    main()
