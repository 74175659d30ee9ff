"""The restoration benchmark, from procedural worlds that no training sees.

python -m aw_jax.launch.benchmark --out=DIR --frozen=configs/benchmark.json

makes the frozen set into DIR/clips and says whether it is bit-identical. Without
--frozen a set is drawn anew; DIR/clips/manifest.json then freezes it. Several processes
may work for the same folder, as in `simulate`: --share=0/2 and --share=1/2. Then:

python -m aw_jax.launch.restore --clips=DIR/clips --out=RESTORED
python -m aw_jax.launch.evaluate --task=restoration --gt=DIR/clips --out=FIGURES
    --pred=RESTORED/restored

Its clips have 25 frames, as the shipped `ltx_tiny` was trained on.
"""

from functools import partial
from pathlib import Path

from absl import flags

from aw_jax.dataengine import manifest
from aw_jax.dataengine.benchmark_job import check_config, make_benchmark
from aw_jax.dataengine.benchmark_scenes import BenchmarkRunConfig, scene_clips
from aw_jax.launch import app
from aw_jax.runs.folder import RunFolder
from aw_jax.runs.progress import progress, say

flags.DEFINE_string("share", "0/1", "I/N: fill every N-th place, from the I-th on.")
flags.DEFINE_string("frozen", None, "The manifest of the set to make again.")


def run(config: BenchmarkRunConfig, folder: RunFolder) -> None:
    """Fills the places that are empty; the process that fills the last sums up."""
    share = app.one_of("share")
    frozen = None
    if app.FLAGS.frozen is not None:
        frozen = manifest.load(Path(app.FLAGS.frozen))
        check_config(config, frozen)
    folder.begin()
    mine = len(range(share[0], config.plan.places, share[1]))
    with progress("benchmark", mine) as bar:
        summary = make_benchmark(
            folder.path / "clips",
            partial(scene_clips, config=config.scenes),
            config=config.plan,
            settings=config.scenes,
            frozen=frozen,
            share=share,
            told=lambda done, _: bar.update(done),
        )
    if summary["places"] == summary["of"]:
        say(summary.get("verdict", f"frozen by {folder.path / 'clips/manifest.json'}"))
        folder.finish(summary)


PRESET = BenchmarkRunConfig()
OWN = ("frozen",)

if __name__ == "__main__":
    app.launch(run, PRESET, own=OWN)
