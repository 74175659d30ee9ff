"""Sparse photos to a repaired splat: the main job.

python -m aw_jax.launch.reconstruct --scene=DIR --out=DIR
"""

import shutil
from pathlib import Path

import jax
from absl import flags

from aw_jax.core.arrays import Array, Key
from aw_jax.core.keys import named
from aw_jax.evaluate.report import write_report
from aw_jax.launch import app
from aw_jax.metrics.frames import variants
from aw_jax.reconstruct import outputs
from aw_jax.reconstruct import run as loop
from aw_jax.reconstruct.clips import RenderedClip, RestoreClip, RestoredClip
from aw_jax.reconstruct.closed_loop import Watch
from aw_jax.reconstruct.config import ReconstructConfig
from aw_jax.reconstruct.inputs import Capture, find_start, load_capture
from aw_jax.restoration import model_files, pipeline
from aw_jax.restoration.pipeline import RestorationModels
from aw_jax.runs.folder import RunFolder
from aw_jax.runs.memory import peak_gigabytes
from aw_jax.runs.progress import Phases, say
from aw_jax.splat.files import load_splat
from aw_jax.splat.ply import save_ply

flags.DEFINE_string("scene", None, "Folder of a capture: photos with poses.")
flags.DEFINE_string("splat", None, "A splat file to start from, instead of points.")


def restorer(models: RestorationModels, phases: Phases) -> RestoreClip:
    """The models as the loop calls them."""
    predict, repair = jax.jit(pipeline.predict_heatmap), jax.jit(pipeline.restore)

    def restore(clip: RenderedClip, key: Key[Array, ""]) -> RestoredClip:
        shown = pipeline.Clip(artifact=clip.artifact, first=clip.first, last=clip.last)
        with phases("heatmap"):
            heatmap = predict(models, shown, named(key, "predict")).block_until_ready()
        with phases("restore"):
            frames = repair(models, shown, heatmap, named(key, "restore"))
        return RestoredClip(frames=frames.block_until_ready(), heatmap=heatmap)

    return restore


def run(config: ReconstructConfig, folder: RunFolder) -> None:
    """Runs every phase; each is found again by a run that was stopped."""
    work = folder.path / "work"
    phases = Phases(work / "seconds.json")
    scene = app.existing("scene")
    say("[load]")
    splat = load_splat(app.existing("splat")) if app.FLAGS.splat else None
    capture = load_capture(scene, config.split, config.photos)
    models = model_files.load(config.model)
    folder.begin()
    with phases("init"):
        start, told = find_start(
            capture,
            config.points,
            seed=app.FLAGS.seed,
            file=work / "points.npz",
            splat=splat,
        )
    result = loop.reconstruct(
        capture.train,
        start,
        restorer(models, phases),
        config=config,
        key=jax.random.key(app.FLAGS.seed),
        folder=work,
        watch=Watch(
            phase=phases,
            on_step=lambda at: phases.on_step(
                at.step + 1, psnr=at.psnr, loss=at.loss, gaussians=at.count
            ),
            measure=lambda s: loop.figures(s, capture.test, config=config.metrics),
        ),
    )
    with phases("final"):
        measured = loop.told(result, capture.test, config)
        write(folder.path, result, capture)
    metrics = {
        **capture.told,
        **told,
        "seed": app.FLAGS.seed,
        **measured,
        "metric_variants": variants(config.metrics),
        "seconds": phases.seconds,
        "peak_memory_gb": peak_gigabytes(),
    }
    write_report(folder.path, metrics)
    folder.finish(metrics)
    shutil.rmtree(work)


def write(folder: Path, result: loop.Result, capture: Capture) -> None:
    """Writes both splats and all pictures."""
    save_ply(folder / "splat.ply", result.final)
    save_ply(folder / "baseline.ply", result.outcome.baseline)
    frames, names = folder / "frames", capture.test_names
    outputs.write_truth(frames, capture.test, names)
    for name, splat in (("baseline", result.outcome.baseline), ("final", result.final)):
        outputs.write_renders(frames / name, splat, capture.test, names)
    outputs.write_clips(frames, result.outcome.clips)


PRESET = ReconstructConfig()
OWN = ("scene", "splat")

if __name__ == "__main__":
    app.launch(run, PRESET, own=OWN)
