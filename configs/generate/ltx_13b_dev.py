"""LTX-Video 13B, not distilled: 0.9.7-dev and 0.9.8-dev.

30 steps; guidance, perturbed attention and rescaling follow the noise level, CFG* is
on: the first pass of Lightricks' configs/ltxv-13b-0.9.7-dev.yaml and -0.9.8-dev.yaml.
Theirs leaves out the last three steps, since a second pass at a larger size follows, as
in `ltx_13b_dev_two_passes.py`. Made for a GPU, and run on none here.

  scripts/download_weights.sh 13b-0.9.8-dev
  python -m aw_jax.launch.generate --config=configs/generate/ltx_13b_dev.py \
    --model=weights/Lightricks/LTX-Video/ltxv-13b-0.9.8-dev.safetensors \
    --t5=weights/PixArt-alpha/PixArt-XL-2-1024-MS --prompt="..." --out=DIR
"""

from aw_jax.flow.guidance import LTX_13B_DEV
from aw_jax.generation.config import GenerateConfig
from aw_jax.models.ltx.guided_sampling import GuidedConfig
from aw_jax.models.ltx.sampling import SamplerConfig


def get_config() -> GenerateConfig:
    return GenerateConfig(
        sampling=GuidedConfig(
            sampler=SamplerConfig(schedule="linear_quadratic", steps=30),
            guidance=LTX_13B_DEV,
            cond_noise=0.15,
        ),
        rope_time="causal",
    )
