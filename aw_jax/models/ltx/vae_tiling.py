"""Long or large videos through the autoencoder in tiles that overlap and blend.

Sizes are those of latents. Latent frame i > 0 holds video frames 8 i - 7 to 8 i, so a
tile of n latent frames from i on is 8 (n - 1) + 1 video frames from frame 8 i on, whose
first it takes for the first of a video: it codes latent frame i from one frame alone,
and tiles must overlap in time. The encoder is causal, so only the beginning of its
tiles in time is inexact; everywhere else both ends are.

A tile differs from the whole only within `reach` of its edges inside the video. A
margin of at least that, with an overlap of twice as much, gives the untiled result:
16 latents for the encoder of 0.9.5 and 22 for its decoder. That is the worst case;
trained networks look less far, and the shipped one is exact with a margin of one. A
small network of random weights, 8 latents to a tile and 4 of them shared, is off by 9 %
of the spread of its pixels on average.
"""

import dataclasses

from aw_jax.core.arrays import Array, Float, Int, Key
from aw_jax.core.errors import UserError
from aw_jax.models.ltx.tile_blending import Blend, blended
from aw_jax.models.ltx.vae import VideoVAE, check_size
from aw_jax.models.ltx.vae_config import VAEConfig
from aw_jax.models.ltx.vae_noise import Window

Triple = tuple[int, int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiling:
    """Sizes in latent frames, rows and columns; a larger tile than the video is cut."""

    tile: Triple = (8, 16, 16)
    overlap: Triple = (3, 4, 4)
    """Latents that a tile shares with the next, at least."""
    margin: Triple = (1, 1, 1)
    """Latents next to an edge inside the video that do not count."""

    def __post_init__(self) -> None:
        for axis, least in zip(range(3), (1, 0, 0), strict=True):
            tile, overlap = self.tile[axis], self.overlap[axis]
            if not least <= overlap < tile:
                raise UserError(
                    f"Tiling.overlap must be at least {least} and below the tile of "
                    f"{tile} along axis {axis}, got {overlap}."
                )
            if not 0 <= self.margin[axis] <= overlap:
                raise UserError(
                    f"Tiling.margin must be at most the overlap of {overlap} along "
                    f"axis {axis}, got {self.margin[axis]}."
                )


def encode_tiled(
    vae: VideoVAE, video: Float[Array, "b f h w 3"], tiling: Tiling
) -> Float[Array, "b g y x c"]:
    """`vae.encode(video)` in tiles."""
    config = vae.config
    check_size(config, video.shape)
    axes = _axes(config, _latent_size(config, video.shape), tiling, both=(1, 2))
    blends = [
        Blend.of(
            axis.starts,
            axis.size,
            axis.overlap,
            before=axis.margin,
            after=0 if axis.lone else axis.margin,
        )
        for axis in axes
    ]
    pieces = [(axis.pixel_starts, axis.pixel_size) for axis in axes]
    shape = (*(axis.latents for axis in axes), config.latent_channels)
    return blended(lambda x, _: vae.encode(x), video, pieces, blends, shape)


def decode_tiled(
    vae: VideoVAE,
    latents: Float[Array, "b g y x c"],
    tiling: Tiling,
    *,
    timestep: Float[Array, "*t"] | float = 0.0,
    key: Key[Array, ""] | None = None,
) -> Float[Array, "b f h w 3"]:
    """`vae.decode(latents, timestep=timestep, key=key)` in tiles."""
    _, *size, _ = latents.shape
    axes = _axes(vae.config, size, tiling, both=(0, 1, 2))
    blends = [
        Blend.of(
            axis.pixel_starts,
            axis.pixel_size,
            axis.pixel_overlap,
            before=axis.pixel_margin_before,
            after=axis.stride * axis.margin,
        )
        for axis in axes
    ]
    pieces = [(axis.starts, axis.size) for axis in axes]
    shape = (*(axis.pixels for axis in axes), 3)

    def run(
        z: Float[Array, "b i j k c"], corner: Int[Array, " 3"]
    ) -> Float[Array, "b l m n 3"]:
        _, _, rows, columns, _ = z.shape
        window = Window(
            corner=corner[1:], size=(rows, columns), whole=(size[1], size[2])
        )
        return vae.decode(z, timestep=timestep, key=key, window=window)

    return blended(run, latents, pieces, blends, shape)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Axis:
    """Where tiles lie along one axis, in latents and in pixels (or frames)."""

    latents: int
    size: int
    overlap: int
    margin: int
    stride: int
    lone: bool
    """Whether the first latent holds one frame alone: the axis of time."""

    @property
    def starts(self) -> list[int]:
        last = self.latents - self.size
        step = max(1, self.size - self.overlap)  # a lone tile may be all overlap
        return [*range(0, last, step), last]

    @property
    def pixel_starts(self) -> list[int]:
        return [self.stride * start for start in self.starts]

    @property
    def pixels(self) -> int:
        return self._extent(self.latents)

    @property
    def pixel_size(self) -> int:
        return self._extent(self.size)

    @property
    def pixel_overlap(self) -> int:
        return self._extent(self.overlap)

    @property
    def pixel_margin_before(self) -> int:
        """The first latent of a tile in time gives one frame, the others a group."""
        return self._extent(self.margin) if self.margin else 0

    def _extent(self, latents: int) -> int:
        return latents * self.stride - (self.stride - 1 if self.lone else 0)


def _latent_size(config: VAEConfig, shape: tuple[int, ...]) -> list[int]:
    frames, height, width = shape[1:4]
    s = config.space_stride
    return [1 + (frames - 1) // config.time_stride, height // s, width // s]


def _axes(
    config: VAEConfig, size: list[int], tiling: Tiling, *, both: tuple[int, ...]
) -> list[_Axis]:
    """Tiles along each axis; along those in `both`, both ends are inexact."""
    strides = (config.time_stride, config.space_stride, config.space_stride)
    for axis in both:
        margin, overlap = tiling.margin[axis], tiling.overlap[axis]
        if 2 * margin > overlap:
            raise UserError(
                f"Tiling.margin must be at most half the overlap of {overlap} along "
                f"axis {axis}, whose tiles are inexact at both ends, got {margin}."
            )
    return [
        _Axis(
            latents=size[i],
            size=min(tiling.tile[i], size[i]),
            overlap=tiling.overlap[i],
            margin=tiling.margin[i],
            stride=strides[i],
            lone=i == 0,
        )
        for i in range(3)
    ]
