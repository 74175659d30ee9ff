"""Stage 1 of `ltx_tiny`: the video autoencoder, 8 x 8 x 8 to 128 channels.

python -m aw_jax.launch.train --config=configs/ltx_tiny/codec.py --out=runs/tiny/codec
"""

from aw_jax.train.codec import CodecObjective
from aw_jax.train.config import TrainConfig
from aw_jax.train.loop import LoopConfig
from aw_jax.train.optimizer import OptimizerConfig


def get_config() -> TrainConfig:
    return TrainConfig(
        task="codec",
        data="runs/tiny/simulate/clips",
        parts="runs/tiny/parts",
        shards=6,
        batch=2,
        side=48,
        objective=CodecObjective(),
        loop=LoopConfig(
            steps=4000,
            log_every=25,
            save_every=200,
            optimizer=OptimizerConfig(
                learning_rate=5e-4,
                schedule="cosine",
                warmup=50,
                final_share=0.02,
                b2=0.98,
                average_decay=0.99,
            ),
        ),
    )
