"""Stage 1 of `ltx_tiny`: the video autoencoder, 8 x 8 x 8 to 128 channels.

A principal component analysis of the clips, held by the LTX layout; no step is trained.
Seconds, on clips that are not labelled yet. Round trip of 20 clean clips from scenes it
has not seen: 26.89 dB.

python -m aw_jax.launch.train --config=configs/ltx_tiny/codec.py --out=runs/tiny/codec
"""

from aw_jax.train.config import TrainConfig
from aw_jax.train.loop import LoopConfig
from aw_jax.train.principal_codec import PRINCIPAL


def get_config() -> TrainConfig:
    return TrainConfig(
        task="codec",
        data="runs/tiny/simulate/clips",
        parts="runs/tiny/parts",
        shards=2,
        batch=2,
        side=64,
        vae=PRINCIPAL,
        start="principal",
        loop=LoopConfig(steps=0),
    )
