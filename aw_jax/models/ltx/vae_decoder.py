"""The decoder: not causal in time, and told how noisy its latents are (not 0.9.0's)."""

import itertools

import jax
import jax.numpy as jnp
from flax import nnx

from aw_jax.core.arrays import Array, Float, Key
from aw_jax.models.ltx.vae_blocks import (
    Buffer,
    Modulation,
    PlainUpsample,
    TimedResBlock,
    TimestepEmbedder,
    Upsample,
    activate,
    modulations,
    unpatchify,
)
from aw_jax.models.ltx.vae_config import VAEConfig
from aw_jax.models.ltx.vae_noise import Window
from aw_jax.nn.convolution import Conv3d


class DecoderStage(nnx.Module):
    """Residual blocks of one width; if timed, all told the timestep by one embedding.

    A stage without blocks (upstream has none) leaves the embedding out.
    """

    def __init__(
        self, width: int, blocks: int, *, timed: bool, noise: bool, rngs: nnx.Rngs
    ) -> None:
        self.timed = timed and blocks > 0
        if self.timed:
            self.embedder = TimestepEmbedder(4 * width, rngs=rngs)
        block = lambda: TimedResBlock(width, rngs=rngs, timed=timed, noise=noise)
        self.blocks = nnx.List(block() for _ in range(blocks))

    def __call__(
        self,
        x: Float[Array, "b f h w c"],
        timestep: Float[Array, " b"],
        key: Key[Array, ""] | None = None,
        window: Window | None = None,
    ) -> Float[Array, "b f h w c"]:
        """The stage at `x`; `timestep` is already scaled."""
        embedding = self.embedder(timestep).astype(x.dtype) if self.timed else None
        keys = _keys(key, len(self.blocks))
        for block, one in zip(self.blocks, keys, strict=True):
            x = block(x, embedding, one, window)
        return x


class Decoder(nnx.Module):
    """Latents as the encoder gives them (not normalised) to video in [-1, 1].

    Stage i, made larger by upsample i, is the input of stage i + 1.
    """

    def __init__(self, config: VAEConfig, *, rngs: nnx.Rngs) -> None:
        widths, counts = config.decoder_widths, config.decoder_blocks
        self.patch = config.patch
        self.timed = timed = config.timestep_conditioning
        noise = config.decoder_noise or (False,) * len(widths)
        inputs, outputs = config.latent_channels, 3 * self.patch**2
        self.conv_in = Conv3d(inputs, widths[0], causal=False, rngs=rngs)
        self.stages = nnx.List(
            DecoderStage(width, count, timed=timed, noise=noisy, rngs=rngs)
            for width, count, noisy in zip(widths, counts, noise, strict=True)
        )
        layer = Upsample if config.upsampling == "fold" else PlainUpsample
        self.upsamples = nnx.List(
            layer(*pair, stride, rngs=rngs)
            for pair, stride in zip(
                itertools.pairwise(widths), config.decoder_strides, strict=True
            )
        )
        if timed:
            self.embedder = TimestepEmbedder(2 * widths[-1], rngs=rngs)
            self.table = nnx.Param(jnp.zeros((2, widths[-1])))
            self.timestep_scale = Buffer(jnp.asarray(1000.0))
        self.conv_out = Conv3d(widths[-1], outputs, causal=False, rngs=rngs)

    def __call__(
        self,
        latents: Float[Array, "b f h w c"],
        timestep: Float[Array, " b"],
        key: Key[Array, ""] | None = None,
        window: Window | None = None,
    ) -> Float[Array, "b g y x 3"]:
        """The video of `latents` that are noisy to the degree `timestep` in [0, 1].

        A `key` switches on the noise of `VAEConfig.decoder_noise`; a `window` says
        which part of a video's latents these are.
        """
        keys = _keys(key, len(self.stages))
        scaled = timestep * self.timestep_scale[...] if self.timed else timestep
        x = self.stages[0](self.conv_in(latents), scaled, keys[0], window)
        for upsample, stage, one in zip(
            self.upsamples, self.stages[1:], keys[1:], strict=True
        ):
            x = stage(upsample(x), scaled, one, window)
        x = activate(x, self._last_modulation(scaled, x.dtype))
        return unpatchify(self.conv_out(x), self.patch)

    def _last_modulation(
        self, scaled: Float[Array, " b"], dtype: jnp.dtype
    ) -> Modulation | None:
        if not self.timed:
            return None
        embedding = self.embedder(scaled).astype(dtype)
        shift, scale = modulations(self.table[...], embedding)
        return shift, scale


def _keys(key: Key[Array, ""] | None, count: int) -> list[Key[Array, ""] | None]:
    """`count` keys of `key`, or as many times no key."""
    return [None if key is None else jax.random.fold_in(key, i) for i in range(count)]
