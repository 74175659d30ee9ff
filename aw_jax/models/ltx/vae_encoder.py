"""The encoder: causal in time, so any prefix of a video encodes to a prefix."""

import itertools

from flax import nnx

from aw_jax.core.arrays import Array, Float
from aw_jax.models.ltx.vae_blocks import (
    Downsample,
    ResBlock,
    StridedDownsample,
    activate,
    patchify,
)
from aw_jax.models.ltx.vae_config import VAEConfig
from aw_jax.nn.convolution import Conv3d


class Encoder(nnx.Module):
    """Video in [-1, 1] to the mean of its latents and one shared log-variance.

    Stage i, made smaller by downsample i, is the input of stage i + 1.
    """

    def __init__(self, config: VAEConfig, *, rngs: nnx.Rngs) -> None:
        widths = config.encoder_widths
        self.patch = config.patch
        self.conv_in = Conv3d(3 * self.patch**2, widths[0], causal=True, rngs=rngs)
        self.stages = nnx.List(
            _stage(width, count, rngs=rngs)
            for width, count in zip(widths, config.encoder_blocks, strict=True)
        )
        layer = Downsample if config.downsampling == "fold" else StridedDownsample
        self.downsamples = nnx.List(
            layer(*pair, stride, rngs=rngs)
            for pair, stride in zip(
                itertools.pairwise(widths), config.encoder_strides, strict=True
            )
        )
        outputs = config.latent_channels + 1
        self.conv_out = Conv3d(widths[-1], outputs, causal=True, rngs=rngs)
        self.conv_out.bias[...] = self.conv_out.bias[...].at[-1].set(-6.0)

    def __call__(
        self, video: Float[Array, "b f h w 3"]
    ) -> tuple[Float[Array, "b g y x c"], Float[Array, "b g y x 1"]]:
        """Mean and log-variance of the latents of `video`."""
        x = self.conv_in(patchify(video, self.patch))
        for stage, downsample in zip(self.stages[:-1], self.downsamples, strict=True):
            x = downsample(_run(stage, x))
        x = _run(self.stages[-1], x)
        x = self.conv_out(activate(x))
        return x[..., :-1], x[..., -1:]


def _stage(width: int, blocks: int, *, rngs: nnx.Rngs) -> nnx.List:
    return nnx.List(ResBlock(width, causal=True, rngs=rngs) for _ in range(blocks))


def _run(stage: nnx.List, x: Float[Array, "b f h w c"]) -> Float[Array, "b f h w c"]:
    for block in stage:
        x = block(x)
    return x
