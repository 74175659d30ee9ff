"""Where a scene breaks: mostly in a few spheres around visible surface points.

Real damage is local, since views are missing somewhere. 70 % of the draws confine an
edit to 1 to 4 spheres centred on Gaussians that the clip shows; the others take the
whole scene. A sphere holds Gaussians that fill a share of the clip's pixels, so that
regions have a size in the picture: shares of the scene's scale, which is that of the
cameras' path, left a few pixels where a short path looks far, and shares of the depth
nothing where large Gaussians are sparse. A stronger artifact spreads as far as a weak
one: severity says how badly, not where.
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Bool, Float, Int, Key
from aw_jax.core.keys import named
from aw_jax.dataengine.artifacts.subject import Subject
from aw_jax.geometry.cameras import Cameras

LOCAL = 0.7
MOST = 4
SHARE = (0.08, 0.25)
"""Of what Gaussians fill of the clip: how much of it a sphere holds."""
STEP = 0.1
"""What depth may differ by among a surface's pixel and those around (of the depth)."""
SELDOM = 1e-6
"""As likely is a pixel at an edge, for clips that have no other."""


def region(
    subject: Subject, points: Float[Array, "n 3"], key: Key[Array, ""]
) -> Bool[Array, " n"]:
    """Which world points lie where an edit applies, one draw per key."""
    places = surface_points(subject, named(key, "places"), count=MOST)
    low, high = SHARE
    shares = jax.random.uniform(named(key, "shares"), (MOST,), minval=low, maxval=high)
    radii = jax.vmap(_radius, (None, 0, 0))(subject, places, shares)
    count = jax.random.randint(named(key, "count"), (), 1, MOST + 1)
    radii = jnp.where(jnp.arange(MOST) < count, radii, -1.0)
    gaps = jnp.linalg.norm(points[:, None] - places, axis=-1)
    everywhere = jax.random.uniform(named(key, "everywhere")) >= LOCAL
    return everywhere | jnp.any(gaps <= radii, axis=-1)


def _radius(
    subject: Subject, place: Float[Array, " 3"], share: Float[Array, ""]
) -> Float[Array, ""]:
    """Of the smallest sphere that holds so much of the clip's weight."""
    gaps = jnp.linalg.norm(subject.splat.means - place, axis=-1)
    order = jnp.argsort(gaps)
    held = jnp.cumsum(subject.weight[order])
    return gaps[order[jnp.searchsorted(held, share * held[-1])]]


def surface_points(
    subject: Subject, key: Key[Array, ""], *, count: int
) -> Float[Array, "count 3"]:
    """Centres of random Gaussians (world units), as likely as the clip shows them.

    What a pixel's depth leads to is often empty air: at a silhouette, and wherever
    matter is translucent, it is a mean of what is nearer and what is farther.
    """
    return subject.splat.means[_draw(subject.weight, key, count)]


def surface_pixels(
    subject: Subject, key: Key[Array, ""], *, count: int
) -> tuple[Int[Array, " count"], Int[Array, " count"], Int[Array, " count"]]:
    """Frame, row and column of random pixels of the clip, as likely as covered.

    Where the clip has a smooth surface, hardly one lies elsewhere.
    """
    smooth = jnp.where(_smooth(subject.clean.depth), 1.0, SELDOM)
    at = _draw((subject.clean.alpha * smooth).ravel(), key, count)
    f, y, x = jnp.unravel_index(at, subject.clean.alpha.shape)
    return f, y, x


def _smooth(depth: Float[Array, "f h w"]) -> Bool[Array, "f h w"]:
    """Where depth is almost that of the pixels around: not at a silhouette."""
    extreme = lambda start, pick: jax.lax.reduce_window(
        depth, start, pick, (1, 3, 3), (1, 1, 1), "SAME"
    )
    spread = extreme(-jnp.inf, jax.lax.max) - extreme(jnp.inf, jax.lax.min)
    return spread <= STEP * depth


def _draw(
    likely: Float[Array, " n"], key: Key[Array, ""], count: int
) -> Int[Array, " count"]:
    """Random places in `likely`, each as likely as it says."""
    heap = jnp.cumsum(likely)
    lots = jax.random.uniform(key, (count,)) * heap[-1]
    return jnp.minimum(jnp.searchsorted(heap, lots), likely.size - 1)


def unproject(
    cameras: Cameras, pixels: Float[Array, "n 2"], depth: Float[Array, " n"]
) -> Float[Array, "n 3"]:
    """The world point that camera i sees at its pixel i, at its depth (z)."""
    image = jnp.concatenate([pixels, jnp.ones_like(pixels[:, :1])], axis=-1)
    rays = jnp.linalg.solve(cameras.intrinsics, image[..., None])[..., 0]
    local = jnp.concatenate([rays * depth[:, None], jnp.ones_like(depth)[:, None]], -1)
    world = jnp.linalg.solve(cameras.camera_from_world, local[..., None])[..., 0]
    return world[:, :3]
