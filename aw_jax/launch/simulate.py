"""Pairs of clean and broken clips from procedural scenes and captures.

python -m aw_jax.launch.simulate --scenes=procedural:SEED:COUNT --out=DIR
python -m aw_jax.launch.simulate --scenes=CAPTURE,CAPTURE --config.clean=fit --out=DIR

Several processes may work for the same folder: --share=0/4 to --share=3/4 each make
every fourth shard, and the last of them to finish closes the run. A Ray cluster whose
nodes share the folder does it with --cluster=ADDRESS; --cluster=local:N starts one of N
workers on this machine.
"""

from typing import Any

from absl import flags

from aw_jax.core.errors import UserError
from aw_jax.dataengine import sources
from aw_jax.dataengine.cluster import simulate_on_cluster
from aw_jax.dataengine.simulation import SimulationConfig, simulate, units_of
from aw_jax.launch import app
from aw_jax.runs.folder import RunFolder
from aw_jax.runs.progress import progress, say

flags.DEFINE_string(
    "scenes",
    None,
    "procedural:SEED:COUNT, the first seed and how many; or folders of captures.",
)
flags.DEFINE_string("share", "0/1", "I/N: make every N-th shard, from the I-th on.")
flags.DEFINE_string("cluster", None, "Address of a Ray cluster, or local[:N].")


def run(config: SimulationConfig, folder: RunFolder) -> None:
    """Makes the shards in OUT/clips; those that are there already are kept."""
    scenes = sources.parse(app.required("scenes"))
    share, cluster = app.one_of("share"), app.FLAGS.cluster
    units = len(units_of(scenes, config))
    if cluster and share[1] > 1:
        raise UserError("--cluster spreads all shards itself; leave --share out.")
    folder.begin()
    clips = folder.path / "clips"
    made = 0
    with progress("simulate", len(range(share[0], units, share[1]))) as bar:

        def told(done: int, _: int, last: dict[str, Any]) -> None:
            nonlocal made
            made += last.get("clips", 0)
            bar.update(done, clips=float(made))
            for scene, why in last.get("failed", {}).items():
                say(f"scene {scene} gives no more clips: {why}")

        if cluster:
            summary = simulate_on_cluster(
                scenes, clips, address=cluster, config=config, told=told
            )
        else:
            summary = simulate(scenes, clips, config=config, share=share, told=told)
    if summary["units"] == summary["of"]:
        folder.finish(summary)


PRESET = SimulationConfig()
OWN = ("scenes",)

if __name__ == "__main__":
    app.launch(run, PRESET, own=OWN)
