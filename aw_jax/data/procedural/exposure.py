"""Auto-exposure: how bright a phone makes each photo depends on what is in view.

The camera meters the linear light of a frame, its middle more than its rim, and scales
the frame's light so that a share `strength` of every change of it, in stops, is gone
(1: each frame is equally bright; 0: exposure is locked). A gain depends on its own
frame and on one constant: the gains of a capture have the geometric mean 1, so that on
average its photos are those of the locked exposure.
"""

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float
from aw_jax.data.procedural.rendering import develop, radiance
from aw_jax.data.procedural.worlds import ProceduralWorld
from aw_jax.geometry.cameras import Cameras

LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Of linear red, green and blue (BT.709)."""
SPOT = 0.2
"""Deviation of the metering's weights, in short sides of the frame."""


def exposed(
    world: ProceduralWorld, cameras: Cameras, *, auto: bool = True
) -> tuple[Float[Array, "v h w 3"], Float[Array, " v"]]:
    """Photos as the world's own camera exposes them, and the gain of each.

    Without `auto` the exposure is locked: every gain is 1, and the photos are those of
    `photograph`.
    """
    light = radiance(world, cameras)
    found = jnp.ones(len(light))
    if auto:
        found = gains(light, strength=world.metering)
    return develop(light, found), found


def gains(light: Float[Array, "v h w 3"], *, strength: float) -> Float[Array, " v"]:
    """The factor on each frame's linear light that auto-exposure chooses."""
    stops = strength * jnp.log2(jnp.maximum(metered(light), 1e-4))
    return jnp.exp2(stops.mean() - stops)


def metered(light: Float[Array, "v h w 3"]) -> Float[Array, " v"]:
    """Centre-weighted mean luminance of each frame."""
    height, width = light.shape[1:3]
    y, x = jnp.mgrid[0:height, 0:width] + 0.5
    square = (y - height / 2) ** 2 + (x - width / 2) ** 2
    weights = jnp.exp(-square / (2 * (SPOT * min(height, width)) ** 2))
    seen = light @ jnp.asarray(LUMINANCE)
    return (seen * weights).sum(axis=(1, 2)) / weights.sum()
