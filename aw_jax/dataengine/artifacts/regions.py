"""Where a scene breaks: mostly in a few spheres around visible surface points.

Real damage is local, since views are missing somewhere. 70 % of the draws confine an
edit to 1 to 4 spheres of radius 0.05 to 0.25 of the scene's scale, centred on surfaces
that the clip shows; the others take the whole scene. A stronger artifact spreads as far
as a weak one: severity says how badly, not where.
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Bool, Float, Key
from aw_jax.core.keys import named
from aw_jax.dataengine.artifacts.subject import Subject
from aw_jax.geometry.cameras import Cameras

LOCAL = 0.7
MOST = 4
RADIUS = (0.05, 0.25)


def region(
    subject: Subject, points: Float[Array, "n 3"], key: Key[Array, ""]
) -> Bool[Array, " n"]:
    """Which world points lie where an edit applies, one draw per key."""
    places = surface_points(subject, named(key, "places"), count=MOST)
    low, high = RADIUS
    radii = jax.random.uniform(named(key, "radii"), (MOST,), minval=low, maxval=high)
    count = jax.random.randint(named(key, "count"), (), 1, MOST + 1)
    radii = jnp.where(jnp.arange(MOST) < count, radii * subject.extent, -1.0)
    gaps = jnp.linalg.norm(points[:, None] - places, axis=-1)
    everywhere = jax.random.uniform(named(key, "everywhere")) >= LOCAL
    return everywhere | jnp.any(gaps <= radii, axis=-1)


def surface_points(
    subject: Subject, key: Key[Array, ""], *, count: int
) -> Float[Array, "count 3"]:
    """Random points on surfaces that the clip shows (world units), pixel by pixel."""
    frames, height, width = subject.clean.depth.shape
    sides = (("frame", frames), ("row", height), ("column", width))
    f, y, x = (
        jax.random.randint(named(key, name), (count,), 0, most) for name, most in sides
    )
    pixels = jnp.stack([x, y], axis=-1) + 0.5
    return unproject(subject.cameras[f], pixels, subject.clean.depth[f, y, x])


def unproject(
    cameras: Cameras, pixels: Float[Array, "n 2"], depth: Float[Array, " n"]
) -> Float[Array, "n 3"]:
    """The world point that camera i sees at its pixel i, at its depth (z)."""
    image = jnp.concatenate([pixels, jnp.ones_like(pixels[:, :1])], axis=-1)
    rays = jnp.linalg.solve(cameras.intrinsics, image[..., None])[..., 0]
    local = jnp.concatenate([rays * depth[:, None], jnp.ones_like(depth)[:, None]], -1)
    world = jnp.linalg.solve(cameras.camera_from_world, local[..., None])[..., 0]
    return world[:, :3]
