"""Ghosting: translucent copies of what moved while the photos were taken.

A fit has no time. Something that stood here in some photos and there in others is
blended into the still scene, with the opacity that errs least in all of them: beside
the object hang copies that let the background through. (Sec. 3.1.) A cluster around a
surface point with open air beside it is copied c times along the path's horizontal,
each copy farther and fainter; in half of the clips the copies fade from the first frame
to the last, as they do when only the photos there saw them.

    c = 1 to 3          copies
    d = 0.08 z to 0.25 z displacement of the last, z the depth of the point
    o = 0.3 to 0.75     times the opacity of what is copied, for the first
    r = 0.12 z to 0.24 z radius of the cluster

In splatting.md B3.2 d is 0.02 to 0.12 of the scene's scale and o 0.1 to 0.45: where a
short path looks far, such copies lie within the texture of what they copy, and pictures
showed nothing, or blur; so did copies of thin things, which have little matter.
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Bool, Float, Int, Key
from aw_jax.core.keys import named
from aw_jax.core.pytrees import replace
from aw_jax.dataengine.artifacts.additions import appended
from aw_jax.dataengine.artifacts.regions import unproject
from aw_jax.dataengine.artifacts.strength import between
from aw_jax.dataengine.artifacts.subject import Draft, Subject
from aw_jax.geometry.cameras import project
from aw_jax.splat.gaussians import DEAD_LOGIT, Splat, take

COPIES = 3
SHIFT = (0.08, 0.25)
OPACITY = (0.3, 0.75)
RADIUS = (0.12, 0.24)
FAINTER = 0.2
"""Each copy has so much less (of the first one's opacity)."""
CANDIDATES = 64
"""Surface points, and a side of each, of which one is taken."""
AIR = 0.5
"""More air than this (of the depth) behind a copy does not show it any better."""
SHARE = 6
"""A cluster has at most 1/SHARE of the Gaussians."""
LEFT = 0.2
"""What is left of a fading copy in the last frame."""


def edit(
    draft: Draft,
    subject: Subject,
    frame: Int[Array, ""] | int,
    severity: Float[Array, ""],
    key: Key[Array, ""],
) -> Draft:
    """Adds `COPIES` copies of a cluster, of which severity says how many live."""
    centre, right = _place(subject, named(key, "place"))
    cluster, inside = _cluster(draft, subject, centre, jnp.linalg.norm(right), key)
    shift = between(SHIFT, severity) * right
    faint = between(OPACITY, severity) * _age(subject, frame, key)
    number = jnp.ceil(COPIES * severity)
    for copy in range(COPIES):
        share = (copy + 1) / jnp.maximum(number, 1)
        opacity = faint * (1 - FAINTER * copy) * jax.nn.sigmoid(cluster.logit_opacities)
        logits = jax.scipy.special.logit(jnp.clip(opacity, 1e-6, 0.99))
        ghost = replace(
            cluster,
            means=cluster.means + share * shift,
            logit_opacities=jnp.where(inside & (copy < number), logits, DEAD_LOGIT),
        )
        draft = appended(draft, ghost)
    return draft


def _age(
    subject: Subject, frame: Int[Array, ""] | int, key: Key[Array, ""]
) -> Float[Array, ""]:
    """How much of a copy is left in a frame: all, or less and less."""
    frames = len(subject.cameras.intrinsics)
    left = jnp.where(jax.random.bernoulli(named(key, "fades")), LEFT, 1.0)
    return left ** (frame / max(frames - 1, 1))


def _cluster(
    draft: Draft,
    subject: Subject,
    centre: Float[Array, " 3"],
    depth: Float[Array, ""],
    key: Key[Array, ""],
) -> tuple[Splat, Bool[Array, " n"]]:
    """Gaussians around the one nearest to `centre`, and which are within the radius.

    The depth of a silhouette is that of neither side, and leads into empty air.
    """
    low, high = RADIUS
    radius = jax.random.uniform(named(key, "radius"), minval=low, maxval=high)
    alive = draft.splat.logit_opacities > DEAD_LOGIT
    gaps_to = lambda place: jnp.where(
        alive, jnp.linalg.norm(draft.splat.means - place, axis=-1), jnp.inf
    )
    gaps = gaps_to(draft.splat.means[jnp.argmin(gaps_to(centre))])
    rows = max(1, len(subject.splat.means) // SHARE)
    order = jax.lax.top_k(-gaps, rows)[1]
    return take(draft.splat, order), gaps[order] <= radius * depth


def _place(
    subject: Subject, key: Key[Array, ""]
) -> tuple[Float[Array, " 3"], Float[Array, " 3"]]:
    """A surface point of the middle frame, and left or right, as long as it is deep.

    Of the candidates it is the one with most matter around it (the sum of opacities)
    times the air behind its copy.
    """
    middle = len(subject.cameras.intrinsics) // 2
    sides = jnp.array([subject.cameras.width, subject.cameras.height])
    pixels = jax.random.uniform(named(key, "pixels"), (CANDIDATES, 2)) * sides
    camera = subject.cameras[middle]
    depth = subject.clean.depth[middle]
    here = _at(depth, pixels)
    points = unproject(subject.cameras[jnp.full(CANDIDATES, middle)], pixels, here)
    sign = jnp.where(jnp.arange(CANDIDATES) < CANDIDATES // 2, -1.0, 1.0)
    right = (sign * here)[:, None] * camera.camera_from_world[0, :3]
    places, _ = project(camera, points + SHIFT[1] * right)
    shown = jnp.all((places >= 0) & (places < sides), axis=-1) & (here > 0)
    behind = _at(depth, jnp.clip(places, 0, sides - 1))
    air = jnp.clip(behind / jnp.maximum(here, 1e-6) - 1, 0.01, AIR)
    matter = _matter(subject, points, RADIUS[0] * here)
    best = jnp.argmax(jnp.where(shown, air * matter, 0.0))
    return points[best], right[best]


def _matter(
    subject: Subject, points: Float[Array, "n 3"], radius: Float[Array, " n"]
) -> Float[Array, " n"]:
    """The sum of opacities within each point's radius."""
    gaps = jnp.linalg.norm(subject.splat.means - points[:, None], axis=-1)
    near = gaps <= radius[:, None]
    return near @ jax.nn.sigmoid(subject.splat.logit_opacities)


def _at(depth: Float[Array, "h w"], pixels: Float[Array, "n 2"]) -> Float[Array, " n"]:
    column, row = jnp.floor(pixels).astype(jnp.int32).T
    return depth[row, column]
