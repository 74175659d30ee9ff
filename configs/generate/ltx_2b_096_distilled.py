"""LTX-Video 2B 0.9.6, distilled: 8 stochastic steps, no guidance.

As Lightricks' configs/ltxv-2b-0.9.6-distilled.yaml: every step goes to clean latents
and back with fresh noise. Made for a GPU, and run on none here.

  scripts/download_weights.sh 2b-0.9.6-distilled
  python -m aw_jax.launch.generate --config=configs/generate/ltx_2b_096_distilled.py \
    --model=weights/Lightricks/LTX-Video/ltxv-2b-0.9.6-distilled-04-25.safetensors \
    --t5=weights/PixArt-alpha/PixArt-XL-2-1024-MS --prompt="..." --out=DIR
"""

import dataclasses
from pathlib import Path

from aw_jax.config.recipes import load
from aw_jax.generation.config import GenerateConfig


def get_config() -> GenerateConfig:
    distilled = load(str(Path(__file__).with_name("ltx_distilled.py")), GenerateConfig)
    sampling = dataclasses.replace(distilled.sampling, stochastic=True)
    return dataclasses.replace(distilled, sampling=sampling)
