"""Needles: Gaussians stretched along the rays of the few views that held them.

A photo does not see how long a Gaussian is along its own ray, nor where on it. With few
photos nothing else does, so some grow into spikes that come out of the surface towards
the camera they were fitted to: a dot from there, a streak from anywhere else (Sec. 3.1:
along specific rays, to overfit sparse views). A few of the fit's views are drawn as the
sparse ones; the spikes belong to that of them which is farthest from the clip.

    n = 60 to 600      of a region, at most `MOST` of its Gaussians, by severity
    a = 8 to 40        the longest axis is longer by this
    b = 1.5 to 4       the other two are shorter by this
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Int, Key
from aw_jax.core.keys import named
from aw_jax.core.pytrees import replace
from aw_jax.dataengine.artifacts.regions import region
from aw_jax.dataengine.artifacts.strength import between
from aw_jax.dataengine.artifacts.subject import Draft, Subject
from aw_jax.geometry.cameras import centers
from aw_jax.geometry.rotations import matrix_from_quat

COUNT = (60.0, 600.0)
MOST = 0.25
STRETCH = (8.0, 40.0)
THINNING = (1.5, 4.0)
LONGEST = 0.10
"""Standard deviation that stretching stops at (of the distance from the view)."""
VIEWS = 6
"""As many views are drawn as those of a sparse fit."""
ASTRAY = 10.0
"""Degrees that an axis misses its ray by, at most."""
LOGIT = 1.0
"""Added to the opacity's logit: a spike is denser than what it was."""


def edit(
    draft: Draft,
    subject: Subject,
    frame: Int[Array, ""] | int,
    severity: Float[Array, ""],
    key: Key[Array, ""],
) -> Draft:
    """Turns some Gaussians into spikes; the same in every frame."""
    del frame
    splat = draft.splat
    hit = region(subject, splat.means, named(key, "region")) & (severity > 0)
    share = between(COUNT, severity) / jnp.maximum(jnp.sum(hit), 1)
    share = jnp.minimum(share, MOST * severity)
    hit = hit & (jax.random.uniform(named(key, "drawn"), hit.shape) < share)
    longest = jnp.argmax(splat.log_scales, axis=-1)
    old = jnp.take_along_axis(
        matrix_from_quat(splat.quats), longest[:, None, None], axis=-1
    )[..., 0]
    to_view = _view(subject, key) - splat.means
    ray = _unit(to_view)
    turn = _turn(old, _unit(ray + _miss(key, ray)))
    limit = jnp.log(LONGEST * jnp.linalg.norm(to_view, axis=-1, keepdims=True))
    scales = _thin(splat.log_scales, longest, severity, limit)
    out = jnp.exp(jnp.max(scales, axis=-1, keepdims=True)) * ray
    pick = hit[:, None]
    return replace(
        draft,
        splat=replace(
            splat,
            means=splat.means + jnp.where(pick, out, 0.0),
            quats=jnp.where(pick, _after(turn, splat.quats), splat.quats),
            log_scales=jnp.where(pick, scales, splat.log_scales),
            logit_opacities=splat.logit_opacities + jnp.where(hit, LOGIT, 0.0),
        ),
        touched=jnp.maximum(draft.touched, hit),
    )


def _view(subject: Subject, key: Key[Array, ""]) -> Float[Array, " 3"]:
    """Where the view stands that needles point at."""
    views = centers(subject.views)
    few = views[jax.random.randint(named(key, "views"), (VIEWS,), 0, len(views))]
    middle = jnp.mean(centers(subject.cameras), axis=0)
    return few[jnp.argmax(jnp.linalg.norm(few - middle, axis=-1))]


def _miss(key: Key[Array, ""], ray: Float[Array, "g 3"]) -> Float[Array, "g 3"]:
    """Random steps across unit rays, as long as `ASTRAY` allows."""
    noise = jax.random.normal(named(key, "way"), ray.shape)
    across = _unit(noise - jnp.sum(noise * ray, axis=-1, keepdims=True) * ray)
    length = jax.random.uniform(named(key, "length"), (len(ray), 1))
    return jnp.tan(jnp.radians(ASTRAY)) * length * across


def _turn(a: Float[Array, "g 3"], b: Float[Array, "g 3"]) -> Float[Array, "g 4"]:
    """The quaternion (wxyz) of the shortest turn of the line along a onto that of b."""
    a = jnp.where(jnp.sum(a * b, axis=-1, keepdims=True) < 0, -a, a)
    w = 1 + jnp.sum(a * b, axis=-1, keepdims=True)
    return _unit(jnp.concatenate([w, jnp.cross(a, b)], axis=-1))


def _after(p: Float[Array, "g 4"], q: Float[Array, "g 4"]) -> Float[Array, "g 4"]:
    """The quaternion product p q: the turn q, then p."""
    pw, pv, qw, qv = p[:, :1], p[:, 1:], q[:, :1], q[:, 1:]
    w = pw * qw - jnp.sum(pv * qv, axis=-1, keepdims=True)
    return jnp.concatenate([w, pw * qv + qw * pv + jnp.cross(pv, qv)], axis=-1)


def _thin(
    log_scales: Float[Array, "g 3"],
    longest: Int[Array, " g"],
    severity: Float[Array, ""],
    limit: Float[Array, "g 1"],
) -> Float[Array, "g 3"]:
    """The longest axis `STRETCH` times longer, to `limit` (log); the others thinner."""
    long = log_scales + jnp.log(between(STRETCH, severity))
    long = jnp.maximum(log_scales, jnp.minimum(long, limit))
    thin = log_scales - jnp.log(between(THINNING, severity))
    return jnp.where(jax.nn.one_hot(longest, 3, dtype=bool), long, thin)


def _unit(x: Float[Array, "g d"]) -> Float[Array, "g d"]:
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)
