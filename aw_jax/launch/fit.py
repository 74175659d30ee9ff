"""A plain 3DGS fit to the training views of a scene.

python -m aw_jax.launch.fit --scene=DIR --out=DIR

--points=FILE                        triangulated once for all runs that name this file
--config.fit.densify=mcmc            relocate Gaussians instead of cloning and pruning
--config.fit.densify.cap=N           ... and have no more than N of them
--config.fit.correct_exposures=true  learn the exposure of every photo
--config.fit.correct_poses=true      learn how far every camera is off
--config.fit.first_capacity=N        begin with N rows, and double them when needed
"""

import shutil
from pathlib import Path

import jax
from absl import flags

from aw_jax.core.keys import named
from aw_jax.launch import app
from aw_jax.metrics.frames import variants
from aw_jax.reconstruct import outputs
from aw_jax.reconstruct.branch import fit_to
from aw_jax.reconstruct.config import FitRunConfig
from aw_jax.reconstruct.inputs import find_start, load_capture
from aw_jax.reconstruct.run import figures, initial_fit
from aw_jax.runs.folder import RunFolder
from aw_jax.runs.memory import peak_gigabytes
from aw_jax.runs.progress import Phases, progress
from aw_jax.splat import fit
from aw_jax.splat.ply import save_ply

flags.DEFINE_string("scene", None, "Folder of a capture.")
flags.DEFINE_string("points", None, "A file that keeps triangulated points (.npz).")


def run(config: FitRunConfig, folder: RunFolder) -> None:
    """Writes splat.ply, metrics.json and the test views beside their truth."""
    work = folder.path / "work"
    phases = Phases(work / "seconds.json")
    seed = app.FLAGS.seed
    key = jax.random.key(seed)
    capture = load_capture(app.existing("scene"), config.split, config.photos)
    folder.begin()
    with phases("init"):
        kept = None if app.FLAGS.points is None else Path(app.FLAGS.points)
        start, told = find_start(
            capture, config.points, seed=seed, file=work / "points.npz", kept=kept
        )
    with phases("fit"), progress("fit", config.fit.steps) as bar:
        state = fit_to(
            initial_fit(start, capture.train, config.fit, named(key, "start")),
            capture.train,
            config=config.fit,
            until=config.fit.steps,
            key=named(key, "fit"),
            folder=work / "fit",
            save_every=config.save_every,
            on_step=lambda at: bar.update(at.step + 1, psnr=at.psnr, count=at.count),
        )
    splat = fit.final_splat(state)
    save_ply(folder.path / "splat.ply", splat)
    frames, names = folder.path / "frames", capture.test_names
    outputs.write_truth(frames, capture.test, names)
    outputs.write_renders(frames / "final", splat, capture.test, names)
    measured = figures(splat, capture.test, config=config.metrics)
    metrics = {
        **capture.told,
        **told,
        "seed": seed,
        "final": measured | {"steps": config.fit.steps},
        "gaussians": len(splat.means),
        "metric_variants": variants(config.metrics),
        "seconds": phases.seconds,
        "peak_memory_gb": peak_gigabytes(),
    }
    folder.finish(metrics)
    shutil.rmtree(work)


PRESET = FitRunConfig()
OWN = ("scene",)

if __name__ == "__main__":
    app.launch(run, PRESET, own=OWN)
