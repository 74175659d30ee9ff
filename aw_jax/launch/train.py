"""Trains one stage: autoencoder, linear estimates, base, predictor or restorer.

python -m aw_jax.launch.train --config=configs/ltx_tiny/restorer.py --out=DIR
"""

import jax

from aw_jax.data import records
from aw_jax.launch import app
from aw_jax.runs.folder import RunFolder
from aw_jax.runs.progress import say
from aw_jax.train.config import TrainConfig
from aw_jax.train.stages import fit_ridge, train_codec, train_denoiser


def run(config: TrainConfig, folder: RunFolder) -> None:
    """Trains, and says where the new part is."""
    records.shards(config.data)
    folder.begin()
    stages = {"codec": train_codec, "ridge": fit_ridge}
    stage = stages.get(config.task, train_denoiser)
    part = stage(config, folder.path, jax.random.key(app.FLAGS.seed))
    say(f"wrote {part}")
    folder.finish({"part": str(part), "steps": config.loop.steps})


PRESET = TrainConfig()
OWN = ()

if __name__ == "__main__":
    app.launch(run, PRESET, own=OWN)
