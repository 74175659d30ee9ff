"""Rotary positions over three axes, laid out as LTX-Video lays them out.

A position is three fractions (time, height, width), about [0, 1] each. Channel pairs
(2i, 2i + 1) of the whole width, before heads are split, turn by the angle

    angle = (2 fraction_axis - 1) * frequency_j,
    frequency_j = (pi / 2) * theta^(j / (n - 1)),  j < n = width // 6,

pairs running j-major, axis-minor: (t, h, w), (t, h, w), ... The width % 6 channels
that are left over stand at the front and never turn. Each head therefore sees its own
band of frequencies. (LTX-Video transformer3d.py, `precompute_freqs_cis`.)
"""

import jax
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
    cos, sin = _cos_and_sin(angles)
    return Rotation(cos=cos, sin=sin)


def _cos_and_sin(angles: Array) -> Array:
    """Both, stacked, and computed once.

    XLA on a CPU fuses across everything but loops: elsewhere it would compute them
    again at every use in every block.
    """

    def one(is_cos: Array) -> Array:
        return jnp.where(is_cos, jnp.cos(angles), jnp.sin(angles))

    return jax.lax.map(one, jnp.array([True, False]))


def rotate(x: Float[Array, "b m d"], turn: Rotation) -> Float[Array, "b m d"]:
    """`x` with each channel pair turned, float32; `turn` may have batch 1.

    Positions have no gradient.
    """
    return _rotate(x.astype(jnp.float32), turn)


@jax.custom_vjp
def _rotate(x: Array, turn: Rotation) -> Array:
    pairs = x.reshape(*x.shape[:-1], -1, 2)
    even, odd = pairs[..., 0], pairs[..., 1]
    turned = (even * turn.cos - odd * turn.sin, odd * turn.cos + even * turn.sin)
    return jnp.stack(turned, axis=-1).reshape(x.shape)


def _rotate_forward(x: Array, turn: Rotation) -> tuple[Array, Rotation]:
    return _rotate(x, turn), turn


def _rotate_backward(turn: Rotation, cotangent: Array) -> tuple[Array, Rotation]:
    """The cotangent turns back by the same angles."""
    back = Rotation(cos=turn.cos, sin=-turn.sin)
    return _rotate(cotangent, back), jax.tree.map(jnp.zeros_like, turn)


_rotate.defvjp(_rotate_forward, _rotate_backward)
