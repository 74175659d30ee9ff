"""Convolution of videos, channels last, padded as LTX does.

Space is padded by zeros, time by replication: a causal layer repeats the first frame in
front, so no frame sees a later one; a centred layer repeats the first and the last. The
3D correlation is a sum of 2D ones, one for each tap in time, and its weight gradient a
few plain matrix products: on a CPU, XLA's own 3D convolution takes two to three times
as long, forward and backward. There, in float32, frames go by pairs where that pays:
four 2D correlations make two frames of three taps, in place of six.

Sources: `LTXVideoCausalConv3d` of diffusers' autoencoder_kl_ltx.py; F(2, 3) of "Fast
Algorithms for Convolutional Neural Networks" (arxiv.org/abs/1509.09308).
"""

import functools
import operator

import jax
import jax.numpy as jnp
from flax import nnx

from aw_jax.core.arrays import Array, Float

_SMALL = 1 << 16
"""Elements of an input below which pairing frames is not worth its sums."""


class Conv3d(nnx.Module):
    """A convolution with bias that keeps frames, rows and columns, or strides.

    A stride of s leaves every s-th frame, row and column of the dense result, the
    first among them.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        causal: bool,
        rngs: nnx.Rngs,
        size: int = 3,
        stride: tuple[int, int, int] = (1, 1, 1),
    ) -> None:
        shape = (size, size, size, inputs, outputs)
        scale = (size**3 * inputs) ** -0.5
        self.kernel = nnx.Param(scale * jax.random.normal(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros((outputs,)))
        self.causal = causal
        self.stride = stride

    def __call__(self, x: Float[Array, "b f h w i"]) -> Float[Array, "b g y x o"]:
        """The layer at `x`, in the dtype of `x`."""
        kernel, bias = self.kernel[...].astype(x.dtype), self.bias[...].astype(x.dtype)
        x = pad_time(x, taps=kernel.shape[0], causal=self.causal)
        if self.stride == (1, 1, 1):
            return correlate(x, kernel) + bias
        return correlate_strided(x, kernel, self.stride) + bias


def pad_time(
    x: Float[Array, "b f h w c"], *, taps: int, causal: bool
) -> Float[Array, "b g h w c"]:
    """`x` with its end frames repeated, so that `taps` taps in time keep its length."""
    before = taps - 1 if causal else (taps - 1) // 2
    after = taps - 1 - before
    first = jnp.repeat(x[:, :1], before, axis=1)
    last = jnp.repeat(x[:, -1:], after, axis=1)
    return jnp.concatenate([first, x, last], axis=1)


def correlate_strided(
    x: Float[Array, "b f h w i"],
    kernel: Float[Array, "kt kh kw i o"],
    stride: tuple[int, int, int],
) -> Float[Array, "b g y x o"]:
    """Every `stride`-th frame, row and column of `correlate`, only those computed."""
    taps, step = kernel.shape[0], stride[0]
    last = x.shape[1] - taps  # where the last frame's first tap may stand
    at = lambda i: _correlate_frames(
        x[:, i : i + last + 1 : step], kernel[i], stride[1:]
    )
    return functools.reduce(operator.add, map(at, range(taps)))


@jax.custom_vjp
def correlate(
    x: Float[Array, "b f h w i"], kernel: Float[Array, "kt kh kw i o"]
) -> Float[Array, "b g h w o"]:
    """Correlates `x` with an odd kernel: unpadded in time, zero-padded in space."""
    paired = _pairs_pay(x, taps=kernel.shape[0])
    return _correlate_pairs(x, kernel) if paired else _correlate_taps(x, kernel)


def _pairs_pay(x: Float[Array, "b f h w i"], *, taps: int) -> bool:
    """Whether to pair frames; sums before products would cost 16-bit types digits."""
    large = x.size >= _SMALL and x.shape[1] >= 4
    exact = x.dtype == jnp.float32
    return taps == 3 and large and exact and jax.default_backend() == "cpu"


def _correlate_taps(
    x: Float[Array, "b f h w i"], kernel: Float[Array, "kt kh kw i o"]
) -> Float[Array, "b g h w o"]:
    """The sum over taps, each against the frames it meets."""
    taps = kernel.shape[0]
    frames = x.shape[1] - taps + 1
    total = _correlate_frames(x[:, :frames], kernel[0])
    for i in range(1, taps):
        total = total + _correlate_frames(x[:, i : i + frames], kernel[i])
    return total


def _correlate_pairs(
    x: Float[Array, "b f h w i"], kernel: Float[Array, "3 kh kw i o"]
) -> Float[Array, "b g h w o"]:
    """Two frames at once, of x0 to x3; of an odd number the last by its taps.

        y0 = p + q + r,   p = (x0 - x2) k0,   q = (x1 + x2) (k0 + k1 + k2) / 2,
        y1 = q - r - s,   s = (x1 - x3) k2,   r = (x2 - x1) (k0 - k1 + k2) / 2

    No rounding of a later frame enters: y0 sees nothing of x3, y1 nothing of x0.
    """
    frames = x.shape[1] - 2
    paired = frames - frames % 2
    x0, x1, x2, x3 = (x[:, i : i + paired - 1 : 2] for i in range(4))
    outer, inner = (kernel[0] + kernel[2]) / 2, kernel[1] / 2
    p = _correlate_frames(x0 - x2, kernel[0])
    q = _correlate_frames(x1 + x2, outer + inner)
    r = _correlate_frames(x2 - x1, outer - inner)
    s = _correlate_frames(x1 - x3, kernel[2])
    y = jnp.stack([p + q + r, q - r - s], axis=2)
    y = y.reshape(len(x), paired, *y.shape[3:])
    if paired == frames:
        return y
    return jnp.concatenate([y, _correlate_taps(x[:, paired:], kernel)], axis=1)


def _correlate_frames(
    x: Float[Array, "b f h w i"],
    kernel: Float[Array, "kh kw i o"],
    strides: tuple[int, int] = (1, 1),
) -> Float[Array, "b f y x o"]:
    b, f, *size = x.shape
    y = jax.lax.conv_general_dilated(
        x.reshape(b * f, *size),
        kernel,
        window_strides=strides,
        padding=[(side // 2, side // 2) for side in kernel.shape[:2]],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y.reshape(b, f, *y.shape[1:])


def _forward(
    x: Float[Array, "b f h w i"], kernel: Float[Array, "kt kh kw i o"]
) -> tuple[Float[Array, "b g h w o"], tuple[Array, Array]]:
    return correlate(x, kernel), (x, kernel)


def _backward(
    saved: tuple[Array, Array], d_y: Float[Array, "b g h w o"]
) -> tuple[Float[Array, "b f h w i"], Float[Array, "kt kh kw i o"]]:
    x, kernel = saved
    border = kernel.shape[0] - 1
    padded = jnp.pad(d_y, ((0, 0), (border, border), (0, 0), (0, 0), (0, 0)))
    turned = jnp.flip(kernel, axis=(0, 1, 2)).swapaxes(3, 4)
    return correlate(padded, turned), _kernel_gradient(x, d_y, kernel.shape)


def _kernel_gradient(
    x: Float[Array, "b f h w i"], d_y: Float[Array, "b g h w o"], shape: tuple[int, ...]
) -> Float[Array, "kt kh kw i o"]:
    """Every tap's x^T d_y, a row of the kernel to one matrix product.

    The taps in time are gathered from `x`, those in space from `d_y`, so that neither
    is copied more than three times at once.
    """
    taps, rows, columns, inputs, outputs = shape
    frames, height, width = d_y.shape[1:4]
    gathered = jnp.concatenate([x[:, i : i + frames] for i in range(taps)], axis=-1)
    border = ((rows // 2, rows // 2), (columns // 2, columns // 2))
    padded = jnp.pad(d_y, ((0, 0), (0, 0), *border, (0, 0)))

    def row(j: int) -> Float[Array, "kt i kw o"]:
        high = padded[:, :, rows - 1 - j :][:, :, :height]
        shifted = [
            high[:, :, :, columns - 1 - k :][:, :, :, :width] for k in range(columns)
        ]
        right = jnp.concatenate(shifted, axis=-1).reshape(-1, columns * outputs)
        product = gathered.reshape(-1, taps * inputs).T @ right
        return product.reshape(taps, inputs, columns, outputs)

    return jnp.stack([row(j) for j in range(rows)]).transpose(1, 0, 3, 2, 4)


correlate.defvjp(_forward, _backward)
