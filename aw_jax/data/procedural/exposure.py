"""Auto-exposure: how bright a phone makes each photo depends on what is in view.

The camera meters the linear light of a frame, its middle more than its rim, and scales
the frame's light so that a share `strength` of every change of it, in stops, is gone
(1: each frame is equally bright; 0: exposure is locked). Photos taken apart are exposed
each by its own light; in a film the exposure follows with a lag. The gains of a capture
have the geometric mean 1: on average its photos are those of the locked exposure.
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float
from aw_jax.data.procedural.rendering import develop, radiance
from aw_jax.data.procedural.worlds import ProceduralWorld
from aw_jax.geometry.cameras import Cameras

LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Of linear red, green and blue (BT.709)."""
SPOT = 0.2
"""Deviation of the metering's weights, in short sides of the frame."""
LAG = 4.0
"""Frames after which the exposure of a film has followed 63 % of a sudden change."""


def exposed(
    world: ProceduralWorld, cameras: Cameras, *, auto: bool = True, lag: float = 0.0
) -> tuple[Float[Array, "v h w 3"], Float[Array, " v"]]:
    """Photos as the world's own camera exposes them, and the gain of each.

    Without `auto` the exposure is locked: every gain is 1, and the photos are those of
    `photograph`. `lag` is that of `gains`.
    """
    light = radiance(world, cameras)
    found = jnp.ones(len(light))
    if auto:
        found = gains(light, strength=world.metering, lag=lag)
    return develop(light, found), found


@jax.jit
def gains(
    light: Float[Array, "v h w 3"],
    *,
    strength: float | Float[Array, ""],
    lag: float | Float[Array, ""] = 0.0,
) -> Float[Array, " v"]:
    """The factor on each frame's linear light that auto-exposure chooses.

    `lag`: frames of a film weigh on later ones by exp(-frames / lag); 0: not at all.
    """
    stops = jnp.log2(jnp.maximum(metered(light), 1e-4))
    ago = jnp.arange(len(light))[:, None] - jnp.arange(len(light))
    weights = jnp.where(ago < 0, 0, jnp.exp(-ago / jnp.maximum(lag, 1e-3)))
    followed = strength * (weights @ stops) / weights.sum(axis=1)
    return jnp.exp2(followed.mean() - followed)


def metered(light: Float[Array, "v h w 3"]) -> Float[Array, " v"]:
    """Centre-weighted mean luminance of each frame."""
    height, width = light.shape[1:3]
    y, x = jnp.mgrid[0:height, 0:width] + 0.5
    square = (y - height / 2) ** 2 + (x - width / 2) ** 2
    weights = jnp.exp(-square / (2 * (SPOT * min(height, width)) ** 2))
    seen = light @ jnp.asarray(LUMINANCE)
    return (seen * weights).sum(axis=(1, 2)) / weights.sum()
