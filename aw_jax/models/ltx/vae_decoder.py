"""The decoder: not causal in time, and told how noisy its latents are."""

import itertools

import jax.numpy as jnp
from flax import nnx

from aw_jax.core.arrays import Array, Float
from aw_jax.models.ltx.vae_blocks import (
    Buffer,
    TimedResBlock,
    TimestepEmbedder,
    Upsample,
    activate,
    modulations,
    unpatchify,
)
from aw_jax.models.ltx.vae_config import VAEConfig
from aw_jax.nn.convolution import Conv3d


class DecoderStage(nnx.Module):
    """Residual blocks of one width, all told the timestep by one embedding.

    A stage without blocks (upstream has none) leaves the embedding out.
    """

    def __init__(self, width: int, blocks: int, *, rngs: nnx.Rngs) -> None:
        if blocks:
            self.embedder = TimestepEmbedder(4 * width, rngs=rngs)
        self.blocks = nnx.List(TimedResBlock(width, rngs=rngs) for _ in range(blocks))

    def __call__(
        self, x: Float[Array, "b f h w c"], timestep: Float[Array, " b"]
    ) -> Float[Array, "b f h w c"]:
        """The stage at `x`; `timestep` is already scaled."""
        if not self.blocks:
            return x
        embedding = self.embedder(timestep).astype(x.dtype)
        for block in self.blocks:
            x = block(x, embedding)
        return x


class Decoder(nnx.Module):
    """Latents as the encoder gives them (not normalised) to video in [-1, 1].

    Stage i, unfolded by upsample i, is the input of stage i + 1.
    """

    def __init__(self, config: VAEConfig, *, rngs: nnx.Rngs) -> None:
        widths = config.decoder_widths
        self.patch = config.patch
        inputs, outputs = config.latent_channels, 3 * self.patch**2
        self.conv_in = Conv3d(inputs, widths[0], causal=False, rngs=rngs)
        self.stages = nnx.List(
            DecoderStage(width, count, rngs=rngs)
            for width, count in zip(widths, config.decoder_blocks, strict=True)
        )
        self.upsamples = nnx.List(
            Upsample(*pair, stride, rngs=rngs)
            for pair, stride in zip(
                itertools.pairwise(widths), config.decoder_strides, strict=True
            )
        )
        self.embedder = TimestepEmbedder(2 * widths[-1], rngs=rngs)
        self.table = nnx.Param(jnp.zeros((2, widths[-1])))
        self.timestep_scale = Buffer(jnp.asarray(1000.0))
        self.conv_out = Conv3d(widths[-1], outputs, causal=False, rngs=rngs)

    def __call__(
        self, latents: Float[Array, "b f h w c"], timestep: Float[Array, " b"]
    ) -> Float[Array, "b g y x 3"]:
        """The video of `latents` that are noisy to the degree `timestep` in [0, 1]."""
        scaled = timestep * self.timestep_scale[...]
        x = self.stages[0](self.conv_in(latents), scaled)
        for upsample, stage in zip(self.upsamples, self.stages[1:], strict=True):
            x = stage(upsample(x), scaled)
        embedding = self.embedder(scaled).astype(x.dtype)
        shift, scale = modulations(self.table[...], embedding)
        return unpatchify(self.conv_out(activate(x, (shift, scale))), self.patch)
