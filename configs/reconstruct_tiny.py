"""A reconstruction with the shipped `ltx_tiny`, sized for two CPU cores.

Photos are brought to 144 pixels on the short side; clips are 25 x 96 x 96. Under 20
minutes a scene on 2 cores.

  python -m aw_jax.launch.reconstruct --scene=DIR --out=DIR \
    --config=configs/reconstruct_tiny.py \
    --config.split.protocol=ratio --config.split.ratio=0.1
"""

from aw_jax.reconstruct.config import ReconstructConfig


def get_config() -> ReconstructConfig:
    return ReconstructConfig()
