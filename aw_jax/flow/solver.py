"""Euler's method along the path, from noise down to data.

z_{t'} = z_t - (t - t') v(z_t, t)
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float
from aw_jax.flow import path

Velocity = Callable[[Float[Array, "b n c"], Float[Array, ""]], Float[Array, "b n c"]]
"""v(z, t) with one level t for the whole target."""


def step(
    z: Float[Array, "b n c"],
    v: Float[Array, "b n c"],
    t: Float[Array, "*b"],
    t_next: Float[Array, "*b"],
) -> Float[Array, "b n c"]:
    """One step; the axes of `t` are the leading axes of `z`: (), (b,) or (b, n)."""
    delta = t - t_next
    return z - jnp.reshape(delta, delta.shape + (1,) * (z.ndim - delta.ndim)) * v


def stochastic_step(
    z: Float[Array, "b n c"],
    v: Float[Array, "b n c"],
    t: Float[Array, "*b"],
    t_next: Float[Array, "*b"],
    noise: Float[Array, "b n c"],
) -> Float[Array, "b n c"]:
    """To the data that `v` points to, and back to `t_next` with fresh noise.

    (1 - t') (z_t - t v) + t' n, LTX-Video's `stochastic_sampling` (rf.py).
    """
    return path.interpolate(path.clean(z, v, t), noise, t_next)


def next_lower(t: Float[Array, "*b"], times: np.ndarray) -> Float[Array, "*b"]:
    """For every level the closest one of `times` below it (0 where none is).

    Tokens of one sequence may stand at different levels and still share a schedule.
    """
    levels = jnp.asarray(times, jnp.float32)
    below = levels < t[..., None] - 1e-6
    return jnp.max(jnp.where(below, levels, 0.0), axis=-1)


def euler(
    velocity: Velocity, z: Float[Array, "b n c"], times: np.ndarray
) -> Float[Array, "b n c"]:
    """Integrates from `times[0]` to `times[-1]`, compiled once for all steps."""
    levels = jnp.asarray(times, jnp.float32)

    def advance(z: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        t, t_next = pair
        return step(z, velocity(z, t), t, t_next).astype(z.dtype), None

    return jax.lax.scan(advance, z, (levels[:-1], levels[1:]))[0]
