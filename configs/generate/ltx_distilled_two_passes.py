"""LTX-Video, distilled, in two passes: 13B and 2B 0.9.8 (13B 0.9.7 with a change).

The first seven of the eight levels at two thirds of the size; then the latents are
upsampled by two, and the last three levels follow: Lightricks'
configs/ltxv-13b-0.9.8-distilled.yaml. 0.9.7 has its own upsampler, and
`--config.decode.tone_map=0`. Made for a GPU, and run on none here.

  scripts/download_weights.sh 13b-0.9.8-distilled
  scripts/download_weights.sh upscaler-0.9.8
  python -m aw_jax.launch.generate \
    --config=configs/generate/ltx_distilled_two_passes.py \
    --model=weights/Lightricks/LTX-Video/ltxv-13b-0.9.8-distilled.safetensors \
    --upsampler=weights/Lightricks/LTX-Video/ltxv-spatial-upscaler-0.9.8.safetensors \
    --t5=weights/PixArt-alpha/PixArt-XL-2-1024-MS --prompt="..." --out=DIR
"""

from aw_jax.generation.config import DecodeConfig, GenerateConfig, SecondPass
from aw_jax.models.ltx.guided_sampling import GuidedConfig
from aw_jax.models.ltx.sampling import SamplerConfig


def get_config() -> GenerateConfig:
    steps = {"schedule": "linear_quadratic", "steps": 8}
    return GenerateConfig(
        sampling=GuidedConfig(
            sampler=SamplerConfig(**steps, skip_last=1), cond_noise=0.15
        ),
        second=SecondPass(
            sampling=GuidedConfig(
                sampler=SamplerConfig(**steps, skip_first=5), cond_noise=0.15
            )
        ),
        decode=DecodeConfig(tone_map=0.6),
        rope_time="causal",
    )
