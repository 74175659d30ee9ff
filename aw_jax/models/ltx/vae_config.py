"""Shape of an LTX-Video autoencoder: one configuration describes every layout.

A video of 8n + 1 frames is cut into patches, then every encoder stage runs residual
blocks and is made smaller by its stride; the decoder undoes this. What the three
public layouts do between two stages:

    0.9.0  encoder "stride": a strided convolution, then a block that widens
           decoder "plain": a block that narrows, then a convolution, unfolded
    0.9.1  encoder as 0.9.0; decoder "fold", told the timestep, noise in three stages
    0.9.5  encoder "fold": a folded convolution + the mean of folded channels
           decoder "fold": an unfolded convolution + tiled unfolded channels

In 0.9.0 and 0.9.1 a stride (1, 1, 1) between equal widths is nothing at all: two stages
follow each other.
"""

import itertools
import math
from dataclasses import dataclass, replace
from typing import Literal

Stride = tuple[int, int, int]
Downsampling = Literal["fold", "stride"]
Upsampling = Literal["fold", "plain"]
NoiseSpace = Literal["normalised", "raw"]


@dataclass(frozen=True, kw_only=True)
class Side:
    """The fields of `VAEConfig` that describe its encoder, or its decoder."""

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    strides: tuple[Stride, ...]
    folds: bool

    @property
    def total(self) -> Stride:
        """The product of all strides."""
        t, y, x = (math.prod(axis) for axis in zip(*self.strides, strict=True))
        return t, y, x


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
    downsampling: Downsampling = "fold"
    upsampling: Upsampling = "fold"
    timestep_conditioning: bool = True
    """Whether the decoder is told how noisy its latents are."""
    decoder_noise: tuple[bool, ...] = ()
    """Which decoder stages may add noise of a learnt scale; empty: none."""
    decode_noise_space: NoiseSpace = "normalised"
    """Where `VideoVAE.mix_noise` mixes: in the latents that the transformer sees (as
    Lightricks' pipeline does) or in those the decoder sees (as diffusers' does)."""

    def __post_init__(self) -> None:
        _check_words(self)
        for side in ("encoder", "decoder"):
            _check_side(side, getattr(self, side))
        if self.encoder.total != self.decoder.total:
            raise ValueError(
                "VAEConfig.decoder_strides must undo encoder_strides, got "
                f"{self.decoder_strides} against {self.encoder_strides}."
            )

    @property
    def encoder(self) -> Side:
        """What describes the encoder."""
        return Side(
            widths=self.encoder_widths,
            blocks=self.encoder_blocks,
            strides=self.encoder_strides,
            folds=self.downsampling == "fold",
        )

    @property
    def decoder(self) -> Side:
        """What describes the decoder."""
        return Side(
            widths=self.decoder_widths,
            blocks=self.decoder_blocks,
            strides=self.decoder_strides,
            folds=self.upsampling == "fold",
        )

    @property
    def time_stride(self) -> int:
        """Frames to one latent frame (the first latent frame holds one frame)."""
        return self.encoder.total[0]

    @property
    def space_stride(self) -> int:
        """Pixels to one latent row or column."""
        return self.patch * self.encoder.total[1]


def _check_words(config: VAEConfig) -> None:
    """Raises ValueError unless the words are known and the noise has its stages."""
    for name, known in (
        ("downsampling", ("fold", "stride")),
        ("upsampling", ("fold", "plain")),
        ("decode_noise_space", ("normalised", "raw")),
    ):
        if (value := getattr(config, name)) not in known:
            raise ValueError(
                f"VAEConfig.{name} must be {' or '.join(known)}, got {value!r}."
            )
    stages, found = len(config.decoder_blocks), len(config.decoder_noise)
    if found not in (0, stages):
        raise ValueError(
            f"VAEConfig.decoder_noise must be empty or have {stages} entries, one a "
            f"stage of the decoder, got {found}."
        )


def _check_side(name: str, side: Side) -> None:
    """Raises ValueError unless the stages of `side` fit together."""
    for field in ("widths", "blocks"):
        if len(getattr(side, field)) != len(side.strides) + 1:
            raise ValueError(
                f"VAEConfig.{name}_{field} must have one entry more than "
                f"{name}_strides, got {len(getattr(side, field))} for "
                f"{len(side.strides)} strides."
            )
    pairs = itertools.pairwise(side.widths)
    for (before, after), (t, y, x) in zip(pairs, side.strides, strict=True):
        if t not in (1, 2) or y != x:
            raise ValueError(
                f"VAEConfig.{name}_strides must be (1 or 2, s, s), got {(t, y, x)}."
            )
        narrow, wide = (after, before) if name == "encoder" else (before, after)
        if side.folds and (narrow % (t * y * x) or (wide * t * y * x) % narrow):
            raise ValueError(
                f"VAEConfig.{name}_widths {before} -> {after} cannot be folded by "
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

VAE_090 = VAEConfig(
    encoder_widths=(128, 256, 512, 512, 512),
    encoder_blocks=(4, 3, 3, 3, 4),
    encoder_strides=((2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 1, 1)),
    decoder_widths=(512, 512, 512, 256, 128),
    decoder_blocks=(4, 3, 3, 3, 4),
    decoder_strides=((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2)),
    downsampling="stride",
    upsampling="plain",
    timestep_conditioning=False,
)
"""The VAE of LTX-Video 0.9.0: 419 M parameters, 32 x 32 x 8."""

VAE_091 = VAEConfig(
    encoder_widths=VAE_090.encoder_widths,
    encoder_blocks=VAE_090.encoder_blocks,
    encoder_strides=VAE_090.encoder_strides,
    decoder_widths=(1024, 512, 256, 128),
    decoder_blocks=(8, 7, 6, 5),
    decoder_strides=((2, 2, 2), (2, 2, 2), (2, 2, 2)),
    downsampling="stride",
    decoder_noise=(False, True, True, True),
)
"""The VAE of LTX-Video 0.9.1: 935 M parameters, 32 x 32 x 8."""

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

PROBE_090 = replace(
    VAE_090,
    latent_channels=8,
    encoder_widths=(8, 16, 32, 32, 32),
    encoder_blocks=(1, 1, 1, 1, 1),
    decoder_widths=(32, 32, 32, 16, 8),
    decoder_blocks=(1, 1, 1, 1, 1),
)
"""The stages of 0.9.0, narrow and of depth one, for tests."""

PROBE_091 = replace(
    VAE_091,
    latent_channels=8,
    encoder_widths=PROBE_090.encoder_widths,
    encoder_blocks=PROBE_090.encoder_blocks,
    decoder_widths=(64, 32, 16, 8),
    decoder_blocks=(1, 1, 1, 1),
)
"""The stages of 0.9.1, narrow and of depth one, for tests."""

TINY = VAEConfig(
    encoder_widths=(64, 128, 128, 128),
    encoder_blocks=(0, 1, 1, 1),
    encoder_strides=((2, 2, 2), (2, 1, 1), (2, 1, 1)),
    decoder_widths=(128, 128, 128, 64),
    decoder_blocks=(1, 1, 1, 1),
    decoder_strides=((2, 1, 1), (2, 1, 1), (2, 2, 2)),
)
"""Small enough to train on two CPU cores: 8 x 8 x 8, 128 channels."""
