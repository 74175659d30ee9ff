"""Floaters: matter in empty air, in front of what it hides.

Photos that disagree, or are too few to tell depth, are explained by Gaussians close to
the camera: on the ray of a training pixel, in its color, at any depth. From that view
they look right; from another they hang before the surface (Sec. 3.1: high-opacity
primitives in free space, overfitting views). Clusters are placed on rays of training
views, where the clip looks, each Gaussian with the color its own pixel has there.

    N = 20 to 400       Gaussians, in clusters of `CLUSTER`
    u = 0.7, down to 0.6 ... 0.15   of the depth of the surface
    s = 0.4 % to 3 %    standard deviation (of the distance), log-uniform
    o = 0.7 to 0.99     opacity
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Int, Key
from aw_jax.core.keys import named
from aw_jax.dataengine.artifacts.additions import appended
from aw_jax.dataengine.artifacts.regions import unproject
from aw_jax.dataengine.artifacts.strength import between
from aw_jax.dataengine.artifacts.subject import Draft, Subject
from aw_jax.geometry.cameras import project
from aw_jax.splat.gaussians import DEAD_LOGIT, Splat
from aw_jax.splat.harmonics import sh_from_rgb

COUNT = (20.0, 400.0)
CLUSTER = 20
NEAREST = (0.6, 0.15)
FARTHEST = 0.7
SIZE = (0.004, 0.03)
ASPECT = 4.0
"""An axis is at most this much longer than another."""
OPACITY = (0.7, 0.99)
SPREAD = 0.03
"""Standard deviation of a cluster's pixels (of the width)."""
JITTER = 0.02
"""Standard deviation along the ray (of the depth)."""
COLOR = 0.05
MOST = int(COUNT[1])
TRIES = 8
"""Rays of which a cluster takes one."""


def edit(
    draft: Draft,
    subject: Subject,
    frame: Int[Array, ""] | int,
    severity: Float[Array, ""],
    key: Key[Array, ""],
) -> Draft:
    """Adds `MOST` Gaussians, of which severity says how many live; in every frame."""
    del frame
    return appended(draft, _floaters(subject, severity, key))


def _floaters(
    subject: Subject, severity: Float[Array, ""], key: Key[Array, ""]
) -> Splat:
    """All `MOST` of them, those beyond the number of the severity dead."""
    view, pixels, heart = _pixels(subject, key)
    column, row = jnp.floor(pixels).astype(jnp.int32).T
    surface = jnp.minimum(subject.seen.depth[view, row, column], heart)
    share = _of_cluster(jax.random.uniform(named(key, "share"), (MOST // CLUSTER,)))
    share = FARTHEST - share * (FARTHEST - between(NEAREST, severity))
    noise = JITTER * jax.random.normal(named(key, "depth"), (MOST,))
    depth = surface * jnp.clip(share * (1 + noise), 0.0, 0.95)
    live = (
        (jnp.arange(MOST) < between(COUNT, severity)) & (severity > 0) & (surface > 0)
    )
    low, high = OPACITY
    opacity = jax.random.uniform(
        named(key, "opacity"), (MOST,), minval=low, maxval=high
    )
    tint = COLOR * jax.random.normal(named(key, "color"), (MOST, 3))
    color = jnp.clip(subject.seen.color[view, row, column] + tint, 0, 1)
    return Splat(
        means=unproject(subject.views[view], pixels, depth),
        log_scales=_log_scales(key) + jnp.log(jnp.maximum(depth, 1e-6))[:, None],
        quats=jax.random.normal(named(key, "quats"), (MOST, 4)),
        logit_opacities=jnp.where(live, jax.scipy.special.logit(opacity), DEAD_LOGIT),
        sh=jnp.asarray(sh_from_rgb(color))[:, None],
    )


def _pixels(
    subject: Subject, key: Key[Array, ""]
) -> tuple[Int[Array, " n"], Float[Array, "n 2"], Float[Array, " n"]]:
    """Each floater's view and pixel there, and the depth at its cluster's centre."""
    view, centre = _rays(subject, key)
    size = jnp.array([subject.views.width, subject.views.height])
    noise = jax.random.normal(named(key, "pixels"), (MOST, 2))
    pixels = _of_cluster(centre) + SPREAD * subject.views.width * noise
    heart = _surface(subject, view, centre)
    return _of_cluster(view), jnp.clip(pixels, 0.5, size - 0.5), _of_cluster(heart)


def _rays(
    subject: Subject, key: Key[Array, ""]
) -> tuple[Int[Array, " c"], Float[Array, "c 2"]]:
    """View and pixel of each cluster: of `TRIES` the one that the clip shows most of.

    From the end of a long path most of the others' rays are out of sight.
    """
    tries = (TRIES, MOST // CLUSTER)
    view = jax.random.randint(named(key, "view"), tries, 0, len(subject.seen.depth))
    size = jnp.array([subject.views.width, subject.views.height])
    centre = size * jax.random.uniform(named(key, "centre"), (*tries, 2))
    shown = _shown(subject, view.ravel(), centre.reshape(-1, 2)).reshape(tries)
    best = jnp.argmax(shown, axis=0), jnp.arange(tries[1])
    return view[best], centre[best]


def _shown(
    subject: Subject, view: Int[Array, " n"], pixels: Float[Array, "n 2"]
) -> Int[Array, " n"]:
    """How often the clip's pictures hold a ray's floaters, of three places on it."""
    surface = _surface(subject, view, pixels)
    size = jnp.array([subject.cameras.width, subject.cameras.height])
    count = jnp.zeros(len(view), int)
    for share in (NEAREST[1], (NEAREST[1] + FARTHEST) / 2, FARTHEST):
        points = unproject(subject.views[view], pixels, share * surface)
        places, depth = project(subject.cameras, points)
        inside = jnp.all((places >= 0) & (places < size), axis=-1) & (depth > 0)
        count += jnp.sum(inside & (surface > 0), axis=0)
    return count


def _surface(
    subject: Subject, view: Int[Array, " n"], pixels: Float[Array, "n 2"]
) -> Float[Array, " n"]:
    """The depth that a view's pixel shows."""
    column, row = jnp.floor(pixels).astype(jnp.int32).T
    return subject.seen.depth[view, row, column]


def _log_scales(key: Key[Array, ""]) -> Float[Array, "n 3"]:
    """Of a floater at distance 1."""
    low, high = jnp.log(jnp.array(SIZE))
    size = jax.random.uniform(named(key, "size"), (MOST, 1), minval=low, maxval=high)
    half = jnp.log(ASPECT) / 2
    aspect = jax.random.uniform(
        named(key, "aspect"), (MOST, 3), minval=-half, maxval=half
    )
    return size + aspect


def _of_cluster(x: Array) -> Array:
    """The cluster's value for each of its members."""
    return jnp.repeat(x, CLUSTER, axis=0)
