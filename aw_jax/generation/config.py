"""How a video is generated; the recipes in configs/generate differ in these fields.

The defaults are those of the undistilled 2B checkpoints (0.9.5, 0.9.6-dev). Numbers are
Lightricks' own: `configs/ltxv-*.yaml` and `InferenceConfig` of LTX-Video.
"""

import dataclasses

from aw_jax.core.errors import UserError
from aw_jax.flow.guidance import LTX_2B_DEV
from aw_jax.models.ltx.config import Precision, RopeTime
from aw_jax.models.ltx.guided_sampling import GuidedConfig
from aw_jax.models.ltx.sampling import SamplerConfig
from aw_jax.models.ltx.vae_tiling import Tiling
from aw_jax.models.t5.config import TextConfig

NEGATIVE = "worst quality, inconsistent motion, blurry, jittery, distorted"
FPS = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodeConfig:
    """What the decoder is told; for autoencoders that listen to a timestep."""

    timestep: float = 0.05
    noise: float = 0.025
    """Share of noise that is mixed into the latents."""
    tone_map: float = 0.0
    """Compression of large latents, whatever the autoencoder (Lightricks: 0.6)."""

    def __post_init__(self) -> None:
        """Refuses values that are no shares."""
        if not 0 <= self.tone_map <= 1:
            raise UserError(
                f"DecodeConfig.tone_map must be in [0, 1], got {self.tone_map}."
            )
        for name in ("timestep", "noise"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(
                    f"DecodeConfig.{name} must be in [0, 1), got {getattr(self, name)}."
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SecondPass:
    """Sampling once more, from the latents of a small first pass made twice as large.

    It needs a latent upsampler; the frames are resized to what was asked for.
    """

    sampling: GuidedConfig
    """Starts below level 1."""
    shrink: float = 0.6666666
    """Sides of the first pass over those asked for, cut to what the VAE takes."""

    def __post_init__(self) -> None:
        """Refuses a first pass that is no smaller, or nothing."""
        if not 0 < self.shrink <= 1:
            raise UserError(f"SecondPass.shrink must be in (0, 1], got {self.shrink}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """Size, sampling and precision."""

    frames: int = 121
    """8 n + 1."""
    height: int = 704
    """Pixels; what the autoencoder cannot take is filled up and cropped again."""
    width: int = 1216
    fps: float | None = None
    """Frames a second; None: those of --video or of the first --clip, else 30."""
    sampling: GuidedConfig = GuidedConfig(
        sampler=SamplerConfig(schedule="linear_quadratic", steps=40),
        guidance=LTX_2B_DEV,
        cond_noise=0.15,
    )
    second: SecondPass | None = None
    """What follows at a larger size, if anything."""
    own_schedule: bool = True
    """Where the checkpoint names a schedule, that one takes the sampler's place."""
    decode: DecodeConfig = DecodeConfig()
    text: TextConfig = TextConfig(t5_mask=True)
    rope_time: RopeTime | None = None
    """Of diffusers folders, which do not tell it; a single file decides for itself."""
    precision: Precision = "bfloat16"
    """Of transformer and autoencoder."""
    untiled: int = 14_000
    """Latents up to which the autoencoder takes a video whole (1216 x 704 x 121)."""
    tiling: Tiling = Tiling()
    """How larger ones are cut."""
    lossless: bool = False
    """Write every frame as a PNG file, too."""

    def __post_init__(self) -> None:
        for name in ("frames", "height", "width"):
            value = getattr(self, name)
            if value < 1:
                raise UserError(
                    f"GenerateConfig.{name} must be at least 1, got {value}."
                )
        if self.frames % 8 != 1:
            raise UserError(
                f"GenerateConfig.frames must be 8 n + 1, got {self.frames}: use "
                f"{self.frames // 8 * 8 + 1}."
            )
        if self.fps is not None and self.fps <= 0:
            raise UserError(f"GenerateConfig.fps must be above 0, got {self.fps}.")

    @property
    def size(self) -> tuple[int, int, int]:
        """Frames, rows and columns of the video."""
        return self.frames, self.height, self.width

    @property
    def negative(self) -> bool:
        """Whether guidance asks for a negative prompt, in either pass."""
        passes = [self.sampling, *([self.second.sampling] if self.second else [])]
        return any(scale != 1 for one in passes for scale in one.guidance.guidance)
