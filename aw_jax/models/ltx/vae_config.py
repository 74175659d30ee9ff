"""Shape of an LTX-Video autoencoder (the 0.9.5 layout, shared by all later files).

A video of 8n + 1 frames is cut into patches, then every encoder stage runs residual
blocks and folds space and time into channels by its stride; the decoder undoes this.
"""

import itertools
from dataclasses import dataclass

Stride = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class VAEConfig:
    """Widths, depths and strides of encoder and decoder, each in the order it runs.

    A side with s strides has s + 1 widths and s + 1 numbers of residual blocks: the
    encoder's last are its middle, after the last fold; the decoder's first are its
    middle, before the first unfold.
    """

    latent_channels: int = 128
    patch: int = 4
    """Side in pixels of the square patches folded into channels before all else."""
    encoder_widths: tuple[int, ...]
    encoder_blocks: tuple[int, ...]
    encoder_strides: tuple[Stride, ...]
    """(time, rows, columns) of each fold."""
    decoder_widths: tuple[int, ...]
    decoder_blocks: tuple[int, ...]
    decoder_strides: tuple[Stride, ...]

    def __post_init__(self) -> None:
        for side in ("encoder", "decoder"):
            _check_side(self, side)
        if self._total("encoder") != self._total("decoder"):
            raise ValueError(
                "VAEConfig.decoder_strides must undo encoder_strides, got "
                f"{self.decoder_strides} against {self.encoder_strides}."
            )

    @property
    def time_stride(self) -> int:
        """Frames to one latent frame (the first latent frame holds one frame)."""
        return self._total("encoder")[0]

    @property
    def space_stride(self) -> int:
        """Pixels to one latent row or column."""
        return self.patch * self._total("encoder")[1]

    def _total(self, side: str) -> Stride:
        total = (1, 1, 1)
        for stride in getattr(self, f"{side}_strides"):
            total = tuple(a * b for a, b in zip(total, stride, strict=True))
        return total


def _check_side(config: VAEConfig, side: str) -> None:
    """Raises ValueError unless the stages of `side` fit together."""
    widths = getattr(config, f"{side}_widths")
    strides = getattr(config, f"{side}_strides")
    for name, values in (
        (f"{side}_widths", widths),
        (f"{side}_blocks", getattr(config, f"{side}_blocks")),
    ):
        if len(values) != len(strides) + 1:
            raise ValueError(
                f"VAEConfig.{name} must have one entry more than {side}_strides, got "
                f"{len(values)} for {len(strides)} strides."
            )
    pairs = itertools.pairwise(widths)
    for (before, after), (t, y, x) in zip(pairs, strides, strict=True):
        if t not in (1, 2) or y != x:
            raise ValueError(
                f"VAEConfig.{side}_strides must be (1 or 2, s, s), got {(t, y, x)}."
            )
        narrow, wide = (after, before) if side == "encoder" else (before, after)
        if narrow % (t * y * x) or (wide * t * y * x) % narrow:
            raise ValueError(
                f"VAEConfig.{side}_widths {before} -> {after} cannot be folded by "
                f"{(t, y, x)}: the deeper width must divide by {t * y * x} and divide "
                f"{wide * t * y * x}."
            )


VAE_095 = VAEConfig(
    encoder_widths=(128, 256, 512, 1024, 2048),
    encoder_blocks=(4, 6, 6, 2, 2),
    encoder_strides=((1, 2, 2), (2, 1, 1), (2, 2, 2), (2, 2, 2)),
    decoder_widths=(1024, 512, 256, 128),
    decoder_blocks=(5, 5, 5, 5),
    decoder_strides=((2, 2, 2), (2, 2, 2), (2, 2, 2)),
)
"""The VAE of LTX-Video 0.9.5 to 0.9.8 (2B and 13B): 1.25 G parameters, 32 x 32 x 8."""

PROBE = VAEConfig(
    latent_channels=8,
    encoder_widths=(8, 16, 32, 64, 128),
    encoder_blocks=(1, 1, 1, 1, 1),
    encoder_strides=VAE_095.encoder_strides,
    decoder_widths=(64, 32, 16, 8),
    decoder_blocks=(1, 1, 1, 1),
    decoder_strides=VAE_095.decoder_strides,
)
"""The same stages at a sixteenth of the width and depth one, for tests."""

TINY = VAEConfig(
    encoder_widths=(64, 128, 128, 128),
    encoder_blocks=(0, 1, 1, 1),
    encoder_strides=((2, 2, 2), (2, 1, 1), (2, 1, 1)),
    decoder_widths=(128, 128, 128, 64),
    decoder_blocks=(1, 1, 1, 1),
    decoder_strides=((2, 1, 1), (2, 1, 1), (2, 2, 2)),
)
"""Small enough to train on two CPU cores: 8 x 8 x 8, 128 channels."""
