"""LPIPS heatmaps for every clip of a folder of pairs, written into the clips' shards.

python -m aw_jax.launch.label --data=DIR --out=DIR
"""

from absl import flags

from aw_jax.data import records
from aw_jax.dataengine.label_shards import describe, label_folder
from aw_jax.dataengine.labels import LabelConfig, Labeller
from aw_jax.launch import app
from aw_jax.runs.folder import RunFolder
from aw_jax.runs.progress import progress

flags.DEFINE_string("data", None, "Folder of clip records.")
flags.DEFINE_integer(
    "shards", None, "Label only so many shards, from the first on.", lower_bound=1
)
flags.DEFINE_integer(
    "every", 1, "Label every so-manieth clip of a shard.", lower_bound=1
)


def run(config: LabelConfig, folder: RunFolder) -> None:
    """Labels shard after shard; one that carries this label already is kept."""
    data = app.existing("data")
    first, every = app.FLAGS.shards, app.FLAGS.every
    label = describe(Labeller(config))
    with progress("label", len(records.shards(data)[:first])) as bar:
        folder.begin()
        count = label_folder(
            data,
            config=config,
            first=first,
            every=every,
            told=lambda done, _: bar.update(done),
        )
    folder.finish({"label": label, "labelled": count})


PRESET = LabelConfig()
OWN = ("data", "shards", "every")

if __name__ == "__main__":
    app.launch(run, PRESET, own=OWN)
