"""Latents of a video to those of a larger or longer one: between two sampling passes.

    x = silu(norm(conv(z)));   x through residual blocks
    x = conv to more channels, unfolded by 2 along rows and columns, time, or all three
    x through residual blocks;   z = conv(x)
    block: x <- silu(x + norm(conv(silu(norm(conv(x))))))

The latents are those of the autoencoder itself, not normalised. Everything is padded by
zeros, in time too; groups of channels are normalised over all pixels of all frames (in
two dimensions: of a frame).

Source: Lightricks' latent_upsampler.py.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from aw_jax.core.arrays import Array, Float
from aw_jax.core.errors import UserError
from aw_jax.models.ltx.vae_blocks import unfold
from aw_jax.models.ltx.vae_config import Stride
from aw_jax.nn.convolution import correlate
from aw_jax.nn.norms import GroupNorm

GROUPS = 32


@dataclass(frozen=True, kw_only=True)
class UpsamplerConfig:
    """Shape of a latent upsampler; the defaults are the published spatial one's."""

    channels: int = 128
    width: int = 512
    blocks: int = 4
    """Before the unfolding, and as many after it."""
    dims: int = 3
    """2: frame by frame."""
    spatial: bool = True
    temporal: bool = False

    def __post_init__(self) -> None:
        """Refuses what upstream has no layer for."""
        if self.dims not in (2, 3) or not (self.spatial or self.temporal):
            raise UserError(
                "UpsamplerConfig needs dims 2 or 3 and spatial or temporal, got dims "
                f"{self.dims}, spatial {self.spatial} and temporal {self.temporal}."
            )
        if self.dims == 2 and self.temporal:
            raise UserError("UpsamplerConfig.temporal needs dims 3, got 2.")
        if self.width % GROUPS:
            raise UserError(
                f"UpsamplerConfig.width must be a multiple of {GROUPS}, got "
                f"{self.width}."
            )

    @property
    def stride(self) -> Stride:
        """What frames, rows and columns are multiplied by."""
        space = 2 if self.spatial else 1
        return (2 if self.temporal else 1, space, space)


class ZeroConv(nnx.Module):
    """A 3D or, frame by frame, 2D convolution with zeros all around."""

    def __init__(self, inputs: int, outputs: int, *, taps: int, rngs: nnx.Rngs) -> None:
        scale = (9 * taps * inputs) ** -0.5
        shape = (taps, 3, 3, inputs, outputs)
        self.kernel = nnx.Param(scale * jax.random.normal(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros((outputs,)))

    def __call__(self, x: Float[Array, "b f h w i"]) -> Float[Array, "b f h w o"]:
        """The layer at `x`, in the dtype of `x`."""
        kernel, bias = self.kernel[...].astype(x.dtype), self.bias[...].astype(x.dtype)
        border = kernel.shape[0] // 2
        padded = jnp.pad(x, ((0, 0), (border, border), (0, 0), (0, 0), (0, 0)))
        return correlate(padded, kernel) + bias


class UpsamplerBlock(nnx.Module):
    """silu(x + norm(conv(silu(norm(conv(x)))))): the sum is activated, too."""

    def __init__(self, width: int, *, taps: int, rngs: nnx.Rngs) -> None:
        self.conv1 = ZeroConv(width, width, taps=taps, rngs=rngs)
        self.norm1 = GroupNorm(width, groups=GROUPS)
        self.conv2 = ZeroConv(width, width, taps=taps, rngs=rngs)
        self.norm2 = GroupNorm(width, groups=GROUPS)

    def __call__(self, x: Float[Array, "b f h w c"]) -> Float[Array, "b f h w c"]:
        """The block at `x`."""
        y = jax.nn.silu(self.norm1(self.conv1(x)))
        return jax.nn.silu(x + self.norm2(self.conv2(y)))


class LatentUpsampler(nnx.Module):
    """Latents to the latents of a larger video, in the dtype of its input."""

    def __init__(self, config: UpsamplerConfig, *, rngs: nnx.Rngs) -> None:
        width, taps = config.width, 1 if config.dims == 2 else 3
        wide = width * config.stride[0] * config.stride[1] ** 2
        blocks = lambda: nnx.List(
            UpsamplerBlock(width, taps=taps, rngs=rngs) for _ in range(config.blocks)
        )
        self.config = config
        self.initial_conv = ZeroConv(config.channels, width, taps=taps, rngs=rngs)
        self.initial_norm = GroupNorm(width, groups=GROUPS)
        self.res_blocks = blocks()
        between = 3 if config.temporal else 1
        self.upsampler = ZeroConv(width, wide, taps=between, rngs=rngs)
        self.post_upsample_res_blocks = blocks()
        self.final_conv = ZeroConv(width, config.channels, taps=taps, rngs=rngs)

    def __call__(self, z: Float[Array, "b f h w c"]) -> Float[Array, "b g y x c"]:
        """The latents; f frames become 2 f - 1 where time is upsampled."""
        batch = len(z)
        x = z.reshape(-1, 1, *z.shape[2:]) if self.config.dims == 2 else z
        x = jax.nn.silu(self.initial_norm(self.initial_conv(x)))
        for block in self.res_blocks:
            x = block(x)
        stride = self.config.stride
        x = unfold(self.upsampler(x), stride)[:, stride[0] - 1 :]
        for block in self.post_upsample_res_blocks:
            x = block(x)
        x = self.final_conv(x)
        return x.reshape(batch, -1, *x.shape[2:])
