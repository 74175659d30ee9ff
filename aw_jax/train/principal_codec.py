"""An autoencoder that begins as a principal component analysis.

The layout of the LTX autoencoder holds a linear codec exactly: folds and 1 x 1 taps are
linear, and its one non-linearity, silu(norm(x)), is linear to first order where one
channel holds a constant K far above all others:

    norm(x) = x sqrt(C / n) / K  with n constant channels,   silu(u) = u / 2 + O(u^2)

Frames are coded by principal components of 8 x 8 patches (S), pairs of frames by those
of their two codes (V), groups of four by those of their four (U), and a latent is the
codes of the two groups it covers, interleaved. Nothing is trained, and training may go
on from here. For `PRINCIPAL`, whose widths this construction needs.
"""

from collections.abc import Iterable

import jax.numpy as jnp
import numpy as np
from einops import rearrange

from aw_jax.core.arrays import Float
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_config import VAEConfig
from aw_jax.nn.convolution import Conv3d

PRINCIPAL = VAEConfig(
    patch=8,
    encoder_widths=(64, 128, 128, 256),
    encoder_blocks=(0, 0, 0, 0),
    encoder_strides=((2, 1, 1), (2, 1, 1), (2, 1, 1)),
    decoder_widths=(128, 64, 64, 64),
    decoder_blocks=(0, 0, 0, 0),
    decoder_strides=((2, 1, 1), (2, 1, 1), (2, 1, 1)),
)
"""8 x 8 x 8 to 128 channels without residual blocks."""

CODES = 64
"""Components of a frame, of a pair and of a group of four."""
CONSTANT = 3e4
"""K: codes are below 30, so the non-linearity costs less than one part in 100."""
NOW, BEFORE, MIDDLE = 2, 1, 1
"""Taps in time: of a causal layer the frame itself and the one before; of a centred one
the frame itself."""

Basis = Float[np.ndarray, "_ _"]


def principal_codec(
    vae: VideoVAE, videos: Iterable[Float[np.ndarray, "b f h w 3"]]
) -> VideoVAE:
    """`vae` with weights that code `videos` (in [0, 1]) by principal components.

    Args:
        vae: of config `PRINCIPAL`; changed in place.
        videos: batches of 8 n + 1 frames; sides are multiples of 8.
    """
    spatial, pair, group = _bases(videos)
    _set_encoder(vae, spatial, group)
    _set_decoder(vae, spatial, pair, group)
    return vae


def _bases(
    videos: Iterable[Float[np.ndarray, "b f h w 3"]],
) -> tuple[Basis, Basis, Basis]:
    """S (patch to frame code), V (two codes to pair code), U (two pairs to group)."""
    patches = [_patches(video) for video in videos]
    spatial = _components(patches)
    codes = [patch @ spatial for patch in patches]
    pairs = [_joined(code[:, 1:]) for code in codes]
    groups = [np.concatenate([p[:, ::2], p[:, 1::2]], axis=-1) for p in pairs]
    return spatial, _components(pairs), _components(groups)


def _patches(video: Float[np.ndarray, "b f h w 3"]) -> Float[np.ndarray, "b f n d"]:
    pattern = "b f (h q) (w r) c -> b f (h w) (c r q)"
    patch = PRINCIPAL.patch
    return rearrange(2 * np.asarray(video, np.float32) - 1, pattern, q=patch, r=patch)


def _joined(codes: Float[np.ndarray, "b f n c"]) -> Float[np.ndarray, "b g n d"]:
    """Pairs of consecutive frames, channels in the order (c, t) of a fold."""
    return rearrange(codes, "b (g t) n c -> b g n (c t)", t=2)


def _components(rows: list[Float[np.ndarray, "... d"]]) -> Basis:
    """The `CODES` directions of largest second moment, largest first."""
    flat = [row.reshape(-1, row.shape[-1]).astype(np.float64) for row in rows]
    moment = sum(row.T @ row for row in flat)
    vectors = np.linalg.eigh(moment)[1]
    return np.ascontiguousarray(vectors[:, ::-1][:, :CODES])


def _set_encoder(vae: VideoVAE, spatial: Basis, group: Basis) -> None:
    encoder = vae.encoder
    first, second, third = (down.conv for down in encoder.downsamples)
    _set(encoder.conv_in, {NOW: spatial})
    _set(first, {})  # the fold alone joins two frame codes
    # Odd channels: the group's code, less what the fold's own mean adds there.
    own = np.zeros((2 * CODES, CODES))
    own[2 * np.arange(CODES) + 1, np.arange(CODES)] = 0.5
    before, now = group[: 2 * CODES], group[2 * CODES :]
    _set(second, {NOW: now - own, BEFORE: before - own})
    # Even channels hold nothing of use: cleared, and one of them is the constant.
    clear = -np.diag((np.arange(2 * CODES) % 2 == 0).astype(float))
    _set(third, {NOW: clear}, bias={0: CONSTANT})
    # Two constants among the 256 channels; codes stand at 2 (2 c + 1) + t.
    gain = 2 * CONSTANT / np.sqrt(4 * CODES / 2)
    out = np.zeros((4 * CODES, 2 * CODES + 1))
    code, time = np.divmod(np.arange(2 * CODES), 2)
    out[2 * (2 * code + 1) + time, np.arange(2 * CODES)] = gain
    _set(encoder.conv_out, {NOW: out}, bias={2 * CODES: -6.0})


def _set_decoder(vae: VideoVAE, spatial: Basis, pair: Basis, group: Basis) -> None:
    decoder = vae.decoder
    first, second, third = (up.conv for up in decoder.upsamples)
    _set(decoder.conv_in, {MIDDLE: np.eye(2 * CODES)})
    _set(first, {})  # the unfolding alone parts the two groups
    halves = [pair.T @ half for half in (group[: 2 * CODES], group[2 * CODES :])]
    _set(second, {MIDDLE: _unfolded(halves)})
    frames = [pair[time::2].copy() for time in (0, 1)]
    for frame in frames:
        frame[-1] = 0  # its channel is the constant's
    last = CODES - 1
    _set(
        third,
        {MIDDLE: _unfolded(frames)},
        bias={2 * last: CONSTANT, 2 * last + 1: CONSTANT},
    )
    decoder.embedder.linear_2.kernel[...] *= 0
    decoder.embedder.linear_2.bias[...] *= 0
    gain = 2 * CONSTANT / np.sqrt(CODES)
    pixels = gain * spatial.T
    pixels[-1] = 0
    _set(decoder.conv_out, {MIDDLE: pixels})


def _unfolded(maps: list[Float[np.ndarray, "o i"]]) -> Basis:
    """Kernel of an upsample whose output at time t is `maps[t]` of its input.

    What the tiled unfolding adds by itself, input 2 (c mod 32) + t to channel c, is
    taken away.
    """
    kernel = np.zeros((CODES, 2 * CODES))
    channel = np.arange(CODES)
    for time, matrix in enumerate(maps):
        kernel[:, 2 * channel + time] = matrix.T
        kernel[2 * (channel % (CODES // 2)) + time, 2 * channel + time] -= 1
    return kernel


def _set(
    conv: Conv3d, taps: dict[int, Basis], *, bias: dict[int, float] | None = None
) -> None:
    """Sets the centre of each tap in time, and biases; all else is zero."""
    kernel = np.zeros(conv.kernel.shape, np.float32)
    for tap, matrix in taps.items():
        kernel[tap, 1, 1] = matrix
    offset = np.zeros(conv.bias.shape, np.float32)
    for channel, value in (bias or {}).items():
        offset[channel] = value
    conv.kernel[...], conv.bias[...] = jnp.asarray(kernel), jnp.asarray(offset)
