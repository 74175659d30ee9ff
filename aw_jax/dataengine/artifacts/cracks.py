"""Cracks: surfaces whose Gaussians no longer overlap.

Nothing in a fit says that a surface is whole. Gaussians that are a little too small, or
have drifted, leave gaps, and what lies behind shows through: first along the seams
between patches that moved together (Sec. 3.1: topological voids, positional drift). The
Gaussians of a region shrink (Sec. 3.2: logarithmic scale compression) and jitter;
surfaces break into plates around random points, and open where two plates meet.

    delta = 0.35 to 1.4   taken from log s: 70 % down to 25 % of the size
    k     = 0.2 to 1.0    standard deviation of the jitter, in distances to neighbours
    z     = 2 % to 20 %   of a plate's width is open at its rim
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Int, Key
from aw_jax.core.keys import named
from aw_jax.core.pytrees import replace
from aw_jax.dataengine.artifacts.regions import region, surface_points
from aw_jax.dataengine.artifacts.strength import between
from aw_jax.dataengine.artifacts.subject import Draft, Subject
from aw_jax.splat.gaussians import DEAD_LOGIT

COMPRESSION = (0.35, 1.4)
JITTER = (0.2, 1.0)
OPEN = (0.02, 0.20)
PLATES = 64
LOOSE = 0.3
"""Of a plate's width: how far in from its rim Gaussians are loose."""
WHOLE = 0.2
"""What the inside of a plate takes of compression and jitter."""


def edit(
    draft: Draft,
    subject: Subject,
    frame: Int[Array, ""] | int,
    severity: Float[Array, ""],
    key: Key[Array, ""],
) -> Draft:
    """Shrinks, shakes and opens a region; the same in every frame."""
    del frame
    splat = draft.splat
    hit = region(subject, splat.means, named(key, "region")) & (severity > 0)
    noise = jax.random.normal(named(key, "jitter"), subject.splat.means.shape)
    noise = subject.spacing[:, None] * noise
    noise = jnp.pad(noise, ((0, len(splat.means) - len(noise)), (0, 0)))
    centres = surface_points(subject, named(key, "plates"), count=PLATES)
    rim = _rim(splat.means, centres)
    gone = hit & (rim < between(OPEN, severity))
    loose = (hit * _looseness(rim))[:, None]
    return replace(
        draft,
        splat=replace(
            splat,
            means=splat.means + between(JITTER, severity) * loose * noise,
            log_scales=splat.log_scales - between(COMPRESSION, severity) * loose,
            logit_opacities=jnp.where(gone, DEAD_LOGIT, splat.logit_opacities),
        ),
        touched=jnp.maximum(draft.touched, hit),
    )


def _looseness(rim: Float[Array, " g"]) -> Float[Array, " g"]:
    """What a Gaussian takes of compression and jitter: all at a rim, less inside."""
    return WHOLE + (1 - WHOLE) * jnp.exp(-((rim / LOOSE) ** 2))


def _rim(
    points: Float[Array, "g 3"], centres: Float[Array, "p 3"]
) -> Float[Array, " g"]:
    """How far a point is from the next plate: 0 where two meet, 1 at a plate's centre.

    Plates are Voronoi cells. The distance to the plane between the two nearest centres
    is (d2^2 - d1^2) / (2 |c2 - c1|); it is told in halves of |c2 - c1|.
    """
    squares = jnp.sum((points[:, None] - centres) ** 2, axis=-1)
    nearest, (first, second) = _two_smallest(squares)
    apart = jnp.sum((centres[second] - centres[first]) ** 2, axis=-1)
    return (nearest[1] - nearest[0]) / jnp.maximum(apart, 1e-12)


def _two_smallest(x: Float[Array, "g p"]) -> tuple[Array, Array]:
    """The two smallest of each row, and where they stand; (2, g) each."""
    values, index = jax.lax.top_k(-x, 2)
    return -values.T, index.T
