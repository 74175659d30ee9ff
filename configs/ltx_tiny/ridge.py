"""Stage 2 of `ltx_tiny`: the linear estimate that the restorer's path starts at.

python -m aw_jax.launch.train --config=configs/ltx_tiny/ridge.py --out=runs/tiny/ridge
"""

import dataclasses
from pathlib import Path

from aw_jax.config.recipes import load
from aw_jax.train.config import TrainConfig


def get_config() -> TrainConfig:
    base = load(str(Path(__file__).with_name("base.py")), TrainConfig)
    return dataclasses.replace(base, task="ridge")
