"""Adaptive density control against MCMC on whole captures: PSNR, seconds, Gaussians.

  python scripts/bench/fit.py --out DIR [--scenes fox,desk] [--seeds 3] [--steps 7000]

Every fit is one call of the launcher, with all training views and points of their own
matches, which DIR/points keeps: photos are matched once a scene. MCMC may have as many
Gaussians as adaptive control ended with, of the same seed. A fit that is there is not
made again, and one that was stopped goes on. The last line is JSON: means over seeds,
and `mcmc_minus_adc` in dB.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCENES = Path(os.environ.get("AW_SHARED", ROOT.parent / "shared")) / "scenes"
SIZES = {
    "fox": ["--config.photos.max_side=none", "--config.photos.short_side=270"],
    "desk": ["--config.photos.max_side=385"],
}


def fitted(scene: str, out: Path, seed: int, options: list[str]) -> dict[str, float]:
    """What a fit ended with; it is made unless it is there."""
    metrics = out / "metrics.json"
    if not metrics.is_file():
        command = [sys.executable, "-m", "aw_jax.launch.fit"]
        given = [f"--scene={SCENES / scene}", f"--out={out}", f"--seed={seed}"]
        given += [f"--points={out.parent / 'points' / scene}.npz", *SIZES[scene]]
        subprocess.run([*command, *given, *options], check=True)
    told = json.loads(metrics.read_text())
    return {
        "psnr": told["final"]["psnr"],
        "seconds": told["seconds"]["fit"],
        "gaussians": told["gaussians"],
    }


def pair(scene: str, out: Path, seed: int, steps: int) -> dict[str, dict[str, float]]:
    """Both fits of one seed."""
    common = [f"--config.fit.steps={steps}"]
    adc = fitted(scene, out / f"{scene}_adc_{seed}", seed, common)
    cap = f"--config.fit.densify.cap={adc['gaussians']}"
    chain = ["--config=configs/fit_mcmc.py", cap, *common]
    mcmc = fitted(scene, out / f"{scene}_mcmc_{seed}", seed, chain)
    print(f"{scene} seed {seed}: adc {adc} mcmc {mcmc}", flush=True)
    return {"adc": adc, "mcmc": mcmc}


def means(scene: str, out: Path, seeds: int, steps: int) -> dict[str, object]:
    """The figures of a scene, over seeds."""
    pairs = [pair(scene, out, seed, steps) for seed in range(seeds)]
    told: dict[str, object] = {
        kind: {
            name: statistics.fmean(both[kind][name] for both in pairs)
            for name in ("psnr", "seconds", "gaussians")
        }
        for kind in ("adc", "mcmc")
    }
    gains = [both["mcmc"]["psnr"] - both["adc"]["psnr"] for both in pairs]
    return told | {"mcmc_minus_adc": statistics.fmean(gains), "seeds": seeds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", default="fox,desk")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=7000)
    options = parser.parse_args()
    os.chdir(ROOT)
    out = options.out.absolute()
    names = options.scenes.split(",")
    told = {name: means(name, out, options.seeds, options.steps) for name in names}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
