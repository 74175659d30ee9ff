"""LTX-Video 13B, not distilled, in two passes: 0.9.8-dev (0.9.7-dev with a change).

The first pass is `ltx_13b_dev.py` at two thirds of the size without its last three
steps; its latents are upsampled by two, and the last 13 of 30 steps follow with
perturbed attention alone: Lightricks' configs/ltxv-13b-0.9.8-dev.yaml. For 0.9.7-dev,
with its own upsampler: `--config.second.sampling.sampler.skip_first=3`. Made for a GPU,
and run on none here.

  scripts/download_weights.sh 13b-0.9.8-dev
  scripts/download_weights.sh upscaler-0.9.8
  python -m aw_jax.launch.generate \
    --config=configs/generate/ltx_13b_dev_two_passes.py \
    --model=weights/Lightricks/LTX-Video/ltxv-13b-0.9.8-dev.safetensors \
    --upsampler=weights/Lightricks/LTX-Video/ltxv-spatial-upscaler-0.9.8.safetensors \
    --t5=weights/PixArt-alpha/PixArt-XL-2-1024-MS --prompt="..." --out=DIR
"""

from aw_jax.flow.guidance import LTX_13B_DEV, constant
from aw_jax.generation.config import GenerateConfig, SecondPass
from aw_jax.models.ltx.guided_sampling import GuidedConfig
from aw_jax.models.ltx.sampling import SamplerConfig


def get_config() -> GenerateConfig:
    steps = {"schedule": "linear_quadratic", "steps": 30}
    return GenerateConfig(
        sampling=GuidedConfig(
            sampler=SamplerConfig(**steps, skip_last=3),
            guidance=LTX_13B_DEV,
            cond_noise=0.15,
        ),
        second=SecondPass(
            sampling=GuidedConfig(
                sampler=SamplerConfig(**steps, skip_first=17),
                guidance=constant(stg=1.0, blocks=(27,), star=True),
                cond_noise=0.15,
            )
        ),
        rope_time="causal",
    )
