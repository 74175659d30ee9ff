"""LTX-Video, distilled: 13B 0.9.7 and 0.9.8, 2B 0.9.8. Eight steps, no guidance.

The levels are the eight that these checkpoints know. Lightricks' configs
(ltxv-13b-0.9.8-distilled.yaml and its like) leave the last one out, since a second pass
at a larger size follows, as in `ltx_distilled_two_passes.py`.
A --video starts at one of these levels: `skip_first=5` is 0.909. A diffusers folder of
the 2B needs `--config.rope_time=plain`. Made for a GPU, and run on none here.

  scripts/download_weights.sh 13b-0.9.8-distilled
  python -m aw_jax.launch.generate --config=configs/generate/ltx_distilled.py \
    --model=weights/Lightricks/LTX-Video/ltxv-13b-0.9.8-distilled.safetensors \
    --t5=weights/PixArt-alpha/PixArt-XL-2-1024-MS --prompt="..." --out=DIR
"""

from aw_jax.generation.config import GenerateConfig
from aw_jax.models.ltx.guided_sampling import GuidedConfig
from aw_jax.models.ltx.sampling import SamplerConfig


def get_config() -> GenerateConfig:
    return GenerateConfig(
        sampling=GuidedConfig(
            sampler=SamplerConfig(schedule="linear_quadratic", steps=8),
            cond_noise=0.15,
        ),
        rope_time="causal",
    )
