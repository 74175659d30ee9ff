"""Stage 5 of `ltx_tiny`: LoRA2, artifact clip and heatmap to clean clip.

python -m aw_jax.launch.train --config=configs/ltx_tiny/restorer.py \
    --out=runs/tiny/restorer
"""

import dataclasses
from pathlib import Path

from aw_jax.config.recipes import load
from aw_jax.train.config import TrainConfig


def get_config() -> TrainConfig:
    base = load(str(Path(__file__).with_name("base.py")), TrainConfig)
    loop = dataclasses.replace(base.loop, steps=60)
    return dataclasses.replace(base, task="restorer", loop=loop)
