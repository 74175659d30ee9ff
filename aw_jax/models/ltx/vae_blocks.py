"""The pieces of the LTX-Video autoencoder, channels last.

Residual blocks normalise every pixel's channels to unit mean square. Folding
("space to depth") moves a (t, y, x) neighbourhood into channels ordered (c, t, y, x),
unlike the outermost patches, whose order is (c, x, y): the same shapes, other values.
The frame axis holds 1 + n * stride frames; a fold by 2 in time repeats the first frame,
an unfold drops the frame that came of the copy.

Source: autoencoder_kl_ltx.py of diffusers (`LTXVideo095DownBlock3D` and its decoder).
"""

import math

import jax
import jax.numpy as jnp
from einops import rearrange
from flax import nnx

from aw_jax.core.arrays import Array, Float
from aw_jax.models.ltx.vae_config import Stride
from aw_jax.nn.convolution import Conv3d
from aw_jax.nn.embeddings import SINUSOID, sinusoid
from aw_jax.nn.linear import Linear
from aw_jax.nn.norms import rms_norm


class Buffer(nnx.Variable):
    """An array that is loaded and saved with the model but never trained."""


def patchify(video: Float[Array, "b f h w c"], patch: int) -> Float[Array, "b f y x d"]:
    """Folds square patches into channels, in the order (c, x, y)."""
    return rearrange(video, "b f (h q) (w r) c -> b f h w (c r q)", q=patch, r=patch)


def unpatchify(x: Float[Array, "b f y x d"], patch: int) -> Float[Array, "b f h w c"]:
    """Inverse of `patchify`."""
    return rearrange(x, "b f h w (c r q) -> b f (h q) (w r) c", q=patch, r=patch)


def fold(x: Float[Array, "b f h w c"], stride: Stride) -> Float[Array, "b g y x d"]:
    """Space and time to depth, channels in the order (c, t, y, x)."""
    t, q, r = stride
    pattern = "b (f t) (h q) (w r) c -> b f h w (c t q r)"
    return rearrange(x, pattern, t=t, q=q, r=r)


def unfold(x: Float[Array, "b f h w d"], stride: Stride) -> Float[Array, "b g y x c"]:
    """Inverse of `fold`."""
    t, q, r = stride
    pattern = "b f h w (c t q r) -> b (f t) (h q) (w r) c"
    return rearrange(x, pattern, t=t, q=q, r=r)


Modulation = tuple[Float[Array, "b 1 1 1 c"], Float[Array, "b 1 1 1 c"]]
"""Shift and scale."""


def activate(
    x: Float[Array, "b f h w c"], modulation: Modulation | None = None
) -> Float[Array, "b f h w c"]:
    """silu(norm(x) * (1 + scale) + shift)."""
    x = rms_norm(x, eps=1e-8).astype(x.dtype)
    if modulation is not None:
        shift, scale = modulation
        x = x * (1 + scale) + shift
    return jax.nn.silu(x)


def modulations(
    table: Float[Array, "r c"], embedding: Float[Array, "b d"]
) -> tuple[Float[Array, "b 1 1 1 c"], ...]:
    """The r rows of table + embedding, where d = r * c."""
    split = rearrange(embedding, "b (r c) -> r b 1 1 1 c", r=table.shape[0])
    return tuple(split + table[:, None, None, None, None].astype(split.dtype))


class ResBlock(nnx.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), normalised pixel by pixel."""

    def __init__(self, width: int, *, causal: bool, rngs: nnx.Rngs) -> None:
        self.conv1 = Conv3d(width, width, causal=causal, rngs=rngs)
        self.conv2 = Conv3d(width, width, causal=causal, rngs=rngs)
        self.conv2.kernel[...] *= 0.1

    def __call__(
        self,
        x: Float[Array, "b f h w c"],
        first: Modulation | None = None,
        second: Modulation | None = None,
    ) -> Float[Array, "b f h w c"]:
        """The block at `x`; the two norms may be followed by shift and scale."""
        y = self.conv1(activate(x, first))
        return x + self.conv2(activate(y, second))


class TimedResBlock(nnx.Module):
    """A residual block of the decoder: shift and scale come of the timestep."""

    def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
        self.block = ResBlock(width, causal=False, rngs=rngs)
        self.table = nnx.Param(jnp.zeros((4, width)))

    def __call__(
        self, x: Float[Array, "b f h w c"], embedding: Float[Array, "b d"]
    ) -> Float[Array, "b f h w c"]:
        """The block at `x`; `embedding` (d = 4c) is that of the timestep."""
        shift1, scale1, shift2, scale2 = modulations(self.table[...], embedding)
        return self.block(x, (shift1, scale1), (shift2, scale2))


class TimestepEmbedder(nnx.Module):
    """Linear(silu(Linear(sinusoids(t)))), in float32."""

    def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
        self.linear_1 = Linear(SINUSOID, width, rngs=rngs)
        self.linear_2 = Linear(width, width, rngs=rngs)

    def __call__(self, t: Float[Array, " b"]) -> Float[Array, "b d"]:
        """The embedding of `t`, which the decoder's factor has scaled."""
        return self.linear_2(jax.nn.silu(self.linear_1(sinusoid(t))))


class Downsample(nnx.Module):
    """Folds by `stride`: a convolution's result plus the mean of folded channels."""

    def __init__(
        self, inputs: int, outputs: int, stride: Stride, *, rngs: nnx.Rngs
    ) -> None:
        narrow = outputs // math.prod(stride)
        self.conv = Conv3d(inputs, narrow, causal=True, rngs=rngs)
        self.stride = stride
        self.outputs = outputs

    def __call__(self, x: Float[Array, "b f h w i"]) -> Float[Array, "b g y x o"]:
        """The layer at `x`, of 1 + stride * n frames."""
        x = jnp.concatenate([x[:, : self.stride[0] - 1], x], axis=1)
        groups = rearrange(fold(x, self.stride), "... (c g) -> ... c g", c=self.outputs)
        return fold(self.conv(x), self.stride) + jnp.mean(groups, axis=-1)


class Upsample(nnx.Module):
    """Unfolds by `stride`: a convolution's result plus tiled unfolded channels."""

    def __init__(
        self, inputs: int, outputs: int, stride: Stride, *, rngs: nnx.Rngs
    ) -> None:
        wide = outputs * math.prod(stride)
        self.conv = Conv3d(inputs, wide, causal=False, rngs=rngs)
        self.stride = stride
        self.tiles = wide // inputs

    def __call__(self, x: Float[Array, "b f h w i"]) -> Float[Array, "b g y x o"]:
        """The layer at `x`; gives 1 + stride * (f - 1) frames."""
        tiled = jnp.tile(unfold(x, self.stride), self.tiles)
        y = unfold(self.conv(x), self.stride) + tiled
        return y[:, self.stride[0] - 1 :]
