"""The straight path between data and noise.

    z_t = (1 - t) z_0 + t z_1,    v = dz_t / dt = z_1 - z_0,    z_0 = z_t - t v

z_0 is data, z_1 noise, t = 1 is noise. This is LTX-Video's sign as well as the paper's.
"""

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float


def _over(t: Float[Array, "*b"], z: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.reshape(t, t.shape + (1,) * (z.ndim - t.ndim))


def interpolate(
    data: Float[Array, "*z"], noise: Float[Array, "*z"], t: Float[Array, "..."]
) -> Float[Array, "*z"]:
    """z_t; the axes of `t` are the leading axes of the data."""
    t = _over(t, data)
    return (1 - t) * data + t * noise


def velocity(data: Float[Array, "*z"], noise: Float[Array, "*z"]) -> Float[Array, "*z"]:
    """z_1 - z_0, what the network predicts."""
    return noise - data


def clean(
    z: Float[Array, "*z"], v: Float[Array, "*z"], t: Float[Array, "..."]
) -> Float[Array, "*z"]:
    """The z_0 that a velocity at level `t` points to."""
    return z - _over(t, z) * v
