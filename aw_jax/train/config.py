"""Everything that `train` can be told."""

import dataclasses
from typing import Literal

from aw_jax.models.ltx import config as ltx_config
from aw_jax.models.ltx import vae_config
from aw_jax.models.ltx.config import TransformerConfig
from aw_jax.models.ltx.vae_config import VAEConfig
from aw_jax.train.codec import CodecObjective
from aw_jax.train.denoising import DenoisingConfig
from aw_jax.train.loop import LoopConfig

Task = Literal["codec", "ridge", "base", "predictor", "restorer"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """Size of a LoRA adapter; 128 = alpha is LTX's own in-context recipe."""

    rank: int = 128
    alpha: float = 128.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One stage of training.

    `codec` makes vae.safetensors, `ridge` the linear estimates that paths may start at
    (in closed form: `loop` and `batch` play no part), `base` transformer.safetensors
    (all of its weights, on both objectives), `predictor` and `restorer` an
    adapter on them.
    """

    task: Task = "restorer"
    data: str = "data/clips"
    """Folder of clip records."""
    shards: int | None = None
    """Use only so many shards, from the first on; None: all."""
    parts: str = "ltx_tiny"
    """Folder with the parts that earlier stages made; this stage's part is added."""
    batch: int = 8
    loop: LoopConfig = LoopConfig()
    vae: VAEConfig = vae_config.TINY
    """Of `codec`."""
    start: Literal["random", "principal", "local"] = "random"
    """`principal`, of `codec`: as a principal component analysis of the clips. `local`,
    of `base`: with open gates, every token looking at its own place."""
    objective: CodecObjective = CodecObjective()
    """Of `codec`."""
    side: int = 64
    """Of `codec`: rows and columns of the cut-outs it trains on."""
    whitening: float = 1.0
    """Of `codec`: how far the channels are brought to one variance, 0 to 1. Where the
    codec keeps lengths, as principal components do, 0 makes a squared error of latents
    one of pixels."""
    heatmap_share: float = 0.15
    """Of `codec`: share of heatmap videos among labelled clips."""
    transformer: TransformerConfig = ltx_config.tiny()
    """Of `base`."""
    penalty: float = 1000.0
    """Of `ridge`."""
    denoising: DenoisingConfig = DenoisingConfig()
    """Of all but `codec`."""
    adapter: AdapterConfig = AdapterConfig()
    """Of `predictor` and `restorer`."""
    variants: int = 1
    """Ways each clip is encoded: mirrored, reversed, both."""
