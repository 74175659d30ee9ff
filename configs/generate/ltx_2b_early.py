"""LTX-Video 2B of 2024: 0.9.0 and 0.9.1.

As ltx_2b_dev.py (Lightricks' configs/ltxv-2b-0.9.yaml and -0.9.1.yaml) but for the
schedule, which their files name: SD3's shift, stretched to end at 0.1. Size and frame
rate are the defaults of diffusers' LTXPipeline: 704 x 512, 161 frames, 25 a second.
Made for a GPU, and run on none here.

  scripts/download_weights.sh 2b-0.9.1
  python -m aw_jax.launch.generate --config=configs/generate/ltx_2b_early.py \
    --model=weights/Lightricks/LTX-Video/ltx-video-2b-v0.9.1.safetensors \
    --t5=weights/PixArt-alpha/PixArt-XL-2-1024-MS --prompt="..." --out=DIR
"""

import dataclasses

from aw_jax.generation.config import GenerateConfig
from aw_jax.models.ltx.sampling import SamplerConfig


def get_config() -> GenerateConfig:
    preset = GenerateConfig()
    sampler = SamplerConfig(schedule="sd3", steps=40, terminal=0.1)
    return dataclasses.replace(
        preset,
        frames=161,
        height=512,
        width=704,
        fps=25.0,
        sampling=dataclasses.replace(preset.sampling, sampler=sampler),
        rope_time="plain",
    )
