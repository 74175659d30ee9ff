"""Stage 4 of `ltx_tiny`: LoRA1, artifact clip to heatmap.

python -m aw_jax.launch.train --config=configs/ltx_tiny/predictor.py \
    --out=runs/tiny/predictor
"""

import dataclasses
from pathlib import Path

from aw_jax.config.recipes import load
from aw_jax.train.config import TrainConfig


def get_config() -> TrainConfig:
    base = load(str(Path(__file__).with_name("base.py")), TrainConfig)
    loop = dataclasses.replace(base.loop, steps=150)
    return dataclasses.replace(base, task="predictor", loop=loop)
