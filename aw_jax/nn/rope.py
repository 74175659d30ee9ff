"""Rotary positions over three axes, laid out as LTX-Video lays them out.

A position is three fractions (time, height, width), about [0, 1] each. Channel pairs
(2i, 2i + 1) of the whole width, before heads are split, turn by the angle

    angle = (2 fraction_axis - 1) * frequency_j,
    frequency_j = (pi / 2) * theta^(j / (n - 1)),  j < n = width // 6,

pairs running j-major, axis-minor: (t, h, w), (t, h, w), ... The width % 6 channels
that are left over stand at the front and never turn. Each head therefore sees its own
band of frequencies. (LTX-Video transformer3d.py, `precompute_freqs_cis`.)
"""

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float
from aw_jax.core.pytrees import pytree


@pytree
class Rotation:
    """The turn of every channel pair at every position, float32."""

    cos: Float[Array, "*b m p"]
    """p = width / 2, one per pair."""
    sin: Float[Array, "*b m p"]


def frequencies(width: int, *, theta: float = 1e4) -> Float[Array, " j"]:
    """The width // 6 frequencies of each axis, ascending from pi/2 to theta pi/2.

    Rounded where torch rounds: the largest is 5000 pi, so that another last bit in the
    exponent turns a pair by 0.01 and the checkpoints would see other positions.
    """
    count = width // 6
    index, half = np.arange(count), np.float32(0.5)
    step = np.float64(np.float32(1) / np.float32(max(count - 1, 1)))
    rising, falling = step * index, 1 - step * (count - 1 - index)
    exponents = np.where(index < count // 2, rising, falling).astype(np.float32)
    powers = (theta ** exponents.astype(np.float64)).astype(np.float32)
    return jnp.asarray(powers * np.float32(np.pi) * half)


def rotation(
    fractions: Float[Array, "*b m 3"], *, width: int, theta: float = 1e4
) -> Rotation:
    """The rotation of `width` channels at `fractions` of the largest position."""
    centred = 2 * fractions.astype(jnp.float32) - 1
    angles = frequencies(width, theta=theta)[:, None] * centred[..., None, :]
    angles = angles.reshape(*angles.shape[:-2], -1)
    still = [(0, 0)] * (angles.ndim - 1) + [(width % 6 // 2, 0)]
    angles = jnp.pad(angles, still)
    return Rotation(cos=jnp.cos(angles), sin=jnp.sin(angles))


def rotate(x: Float[Array, "b m d"], turn: Rotation) -> Float[Array, "b m d"]:
    """`x` with each channel pair turned, float32; `turn` may have batch 1."""
    pairs = x.astype(jnp.float32).reshape(*x.shape[:-1], -1, 2)
    even, odd = pairs[..., 0], pairs[..., 1]
    turned = (even * turn.cos - odd * turn.sin, odd * turn.cos + even * turn.sin)
    return jnp.stack(turned, axis=-1).reshape(x.shape)
