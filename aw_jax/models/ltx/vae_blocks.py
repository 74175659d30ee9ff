"""The pieces of the LTX-Video autoencoder, channels last.

Residual blocks normalise every pixel's channels to unit mean square. Folding
("space to depth") moves a (t, y, x) neighbourhood into channels ordered (c, t, y, x),
unlike the outermost patches, whose order is (c, x, y): the same shapes, other values.
The frame axis holds 1 + n * stride frames; a fold by 2 in time repeats the first frame,
an unfold drops the frame that came of the copy.

Source: autoencoder_kl_ltx.py of diffusers (`LTXVideoResnetBlock3d`, the two kinds of
`LTXVideoDownBlock3D`, `LTXVideoUpBlock3d`).
"""

import math

import jax
import jax.numpy as jnp
from einops import rearrange
from flax import nnx

from aw_jax.core.arrays import Array, Float, Key
from aw_jax.models.ltx.vae_config import Stride
from aw_jax.models.ltx.vae_noise import Window, plane
from aw_jax.nn.convolution import Conv3d
from aw_jax.nn.embeddings import SINUSOID, sinusoid
from aw_jax.nn.linear import Linear
from aw_jax.nn.norms import layer_norm, rms_norm


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


class Shortcut(nnx.Module):
    """A residual block's way past it where widths differ: a normed 1x1x1 product."""

    def __init__(
        self, inputs: int, outputs: int, *, causal: bool, rngs: nnx.Rngs
    ) -> None:
        self.weight = nnx.Param(jnp.ones((inputs,)))
        self.bias = nnx.Param(jnp.zeros((inputs,)))
        self.conv = Conv3d(inputs, outputs, causal=causal, rngs=rngs, size=1)

    def __call__(self, x: Float[Array, "b f h w i"]) -> Float[Array, "b f h w o"]:
        """conv(weight * layer_norm(x) + bias)."""
        y = layer_norm(x, eps=1e-6) * self.weight[...] + self.bias[...]
        return self.conv(y.astype(x.dtype))


class ResBlock(nnx.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), normalised pixel by pixel.

    With `outputs` channels other than its own, a `Shortcut` takes the place of x. With
    `noise` each convolution has a learnt scale, a channel, of noise that is the same in
    every frame; it is added when a key is given.
    """

    def __init__(
        self,
        width: int,
        *,
        causal: bool,
        rngs: nnx.Rngs,
        outputs: int | None = None,
        noise: bool = False,
    ) -> None:
        outputs = outputs or width
        self.conv1 = Conv3d(width, outputs, causal=causal, rngs=rngs)
        self.conv2 = Conv3d(outputs, outputs, causal=causal, rngs=rngs)
        self.conv2.kernel[...] *= 0.1
        if outputs != width:
            self.shortcut = Shortcut(width, outputs, causal=causal, rngs=rngs)
        if noise:
            self.noise1 = nnx.Param(jnp.zeros((outputs,)))
            self.noise2 = nnx.Param(jnp.zeros((outputs,)))
        self.widens, self.noisy = outputs != width, noise

    def __call__(
        self,
        x: Float[Array, "b f h w c"],
        first: Modulation | None = None,
        second: Modulation | None = None,
        key: Key[Array, ""] | None = None,
        window: Window | None = None,
    ) -> Float[Array, "b f h w o"]:
        """The block at `x`; the two norms may be followed by shift and scale."""
        y = self.conv1(activate(x, first))
        if self.noisy and key is not None:
            drawn = plane(y, jax.random.fold_in(key, 0), window)
            y = y + drawn * self.noise1[...].astype(y.dtype)
        y = self.conv2(activate(y, second))
        if self.noisy and key is not None:
            drawn = plane(y, jax.random.fold_in(key, 1), window)
            y = y + drawn * self.noise2[...].astype(y.dtype)
        return (self.shortcut(x) if self.widens else x) + y


class TimedResBlock(nnx.Module):
    """A residual block of the decoder: shift and scale come of the timestep, if any."""

    def __init__(
        self, width: int, *, rngs: nnx.Rngs, timed: bool = True, noise: bool = False
    ) -> None:
        self.block = ResBlock(width, causal=False, rngs=rngs, noise=noise)
        if timed:
            self.table = nnx.Param(jnp.zeros((4, width)))

    def __call__(
        self,
        x: Float[Array, "b f h w c"],
        embedding: Float[Array, "b d"] | None,
        key: Key[Array, ""] | None = None,
        window: Window | None = None,
    ) -> Float[Array, "b f h w c"]:
        """The block at `x`; `embedding` (d = 4c) is that of the timestep."""
        if embedding is None:
            return self.block(x, key=key, window=window)
        shift1, scale1, shift2, scale2 = modulations(self.table[...], embedding)
        return self.block(x, (shift1, scale1), (shift2, scale2), key, window)


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


class StridedDownsample(nnx.Module):
    """A strided convolution, then a residual block where the width changes."""

    def __init__(
        self, inputs: int, outputs: int, stride: Stride, *, rngs: nnx.Rngs
    ) -> None:
        self.strides, self.widens = stride != (1, 1, 1), inputs != outputs
        if self.strides:
            self.conv = Conv3d(inputs, inputs, causal=True, rngs=rngs, stride=stride)
        if self.widens:
            self.block = ResBlock(inputs, causal=True, rngs=rngs, outputs=outputs)

    def __call__(self, x: Float[Array, "b f h w i"]) -> Float[Array, "b g y x o"]:
        """The layer at `x`, of 1 + stride * n frames."""
        x = self.conv(x) if self.strides else x
        return self.block(x) if self.widens else x


class PlainUpsample(nnx.Module):
    """A residual block where the width changes, then a convolution, unfolded."""

    def __init__(
        self, inputs: int, outputs: int, stride: Stride, *, rngs: nnx.Rngs
    ) -> None:
        self.strides, self.narrows = stride != (1, 1, 1), inputs != outputs
        if self.narrows:
            self.block = ResBlock(inputs, causal=False, rngs=rngs, outputs=outputs)
        if self.strides:
            wide = outputs * math.prod(stride)
            self.conv = Conv3d(outputs, wide, causal=False, rngs=rngs)
        self.stride = stride

    def __call__(self, x: Float[Array, "b f h w i"]) -> Float[Array, "b g y x o"]:
        """The layer at `x`; gives 1 + stride * (f - 1) frames."""
        x = self.block(x) if self.narrows else x
        if not self.strides:
            return x
        return unfold(self.conv(x), self.stride)[:, self.stride[0] - 1 :]
