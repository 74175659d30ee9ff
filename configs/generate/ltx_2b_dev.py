"""LTX-Video 2B, not distilled: 0.9.5 and 0.9.6-dev.

40 steps with a negative prompt (3), perturbed attention in block 19 (1) and rescaling
(0.7), as Lightricks' configs/ltxv-2b-0.9.5.yaml and -0.9.6-dev.yaml: the preset of
`generate`, and the rope_time that a diffusers folder does not tell. 1216 x 704, 121
frames. Made for a GPU, and run on none here.

  scripts/download_weights.sh 2b-0.9.6-dev
  python -m aw_jax.launch.generate --config=configs/generate/ltx_2b_dev.py \
    --model=weights/Lightricks/LTX-Video/ltxv-2b-0.9.6-dev-04-25.safetensors \
    --t5=weights/PixArt-alpha/PixArt-XL-2-1024-MS --prompt="..." --out=DIR
"""

from aw_jax.generation.config import GenerateConfig


def get_config() -> GenerateConfig:
    return GenerateConfig(rope_time="causal")
