"""Popping: the order of Gaussians changes from one frame to the next.

3DGS sorts whole Gaussians by the depth of their centres. Two that cross each other are
blended in one order from here and in the other from a step further, all at once. A
large semi-transparent Gaussian in a surface shows this best: sorted before the surface
it tints it, sorted after it is hidden. Every frame by itself looks fine; the clip
flickers. (Sec. 3.1; route (c): the order of the render is changed, not the splat.)

    z' = z (1 + e)    where splats are sorted; e normal, held for h frames
    sd of e = 0.5 % to 2 %
    h = 1 to 6        one value for a clip
    pairs = 16 to 64  copies of pieces of visible surface, as large as 2 % to 6 % of the
                      picture's short side, opacity 0.3 to 0.7, in the color of a place
                      nearby; each is before its surface, or behind it, in half of the
                      holds

The numbers of e and h are splatting.md's B3.2, with a most of 2 %, not 3 %: beyond it
objects shine through each other in every frame. Its pairs are a share of the largest
Gaussians, but these lie in plain walls, where no order can be seen.
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Int, Key
from aw_jax.core.keys import at_step, named
from aw_jax.core.pytrees import replace
from aw_jax.dataengine.artifacts.additions import appended
from aw_jax.dataengine.artifacts.regions import surface_pixels, unproject
from aw_jax.dataengine.artifacts.strength import between
from aw_jax.dataengine.artifacts.subject import Draft, Subject
from aw_jax.dataengine.artifacts.visibility import pixel_sizes, short_side
from aw_jax.geometry.cameras import project
from aw_jax.splat.gaussians import DEAD_LOGIT, Splat
from aw_jax.splat.harmonics import sh_from_rgb

NOISE = (0.005, 0.02)
HOLD = (1, 6)
PAIRS = (16.0, 64.0)
SIZE = (0.02, 0.06)
OPACITY = (0.3, 0.7)
AWAY = 0.1
"""How far the place lies whose color a pair has (of the short side)."""
JUMP = 0.15
"""How far a pair is moved in the order (of its depth): past its surface."""
MOST = int(PAIRS[1])


def edit(
    draft: Draft,
    subject: Subject,
    frame: Int[Array, ""] | int,
    severity: Float[Array, ""],
    key: Key[Array, ""],
) -> Draft:
    """Moves Gaussians in the order of one frame, and adds large ones that jump."""
    hold = jax.random.randint(named(key, "hold"), (), HOLD[0], HOLD[1] + 1)
    held = at_step(named(key, "held"), frame // hold)
    moved = _moved(draft, subject, frame, severity, held)
    pairs = _pairs(subject, severity, key)
    before = jax.random.bernoulli(named(held, "before"), shape=(MOST,))
    depth = project(subject.cameras[frame], pairs.means)[1]
    jump = JUMP * depth * jnp.where(before, -1.0, 1.0)
    return appended(moved, pairs, jnp.where(severity > 0, jump, 0.0))


def _moved(
    draft: Draft,
    subject: Subject,
    frame: Int[Array, ""] | int,
    severity: Float[Array, ""],
    held: Key[Array, ""],
) -> Draft:
    """Every Gaussian at another place in the order."""
    depth = project(subject.cameras[frame], draft.splat.means)[1]
    noise = jax.random.normal(named(held, "noise"), depth.shape)
    offsets = jnp.where(severity > 0, between(NOISE, severity) * noise * depth, 0.0)
    alive = (draft.splat.logit_opacities > DEAD_LOGIT) & (severity > 0)
    return replace(
        draft,
        depth_offsets=draft.depth_offsets + offsets,
        touched=jnp.maximum(draft.touched, alive),
    )


def _pairs(subject: Subject, severity: Float[Array, ""], key: Key[Array, ""]) -> Splat:
    """All `MOST` of them, those beyond the number of the severity dead."""
    frame, row, column = surface_pixels(subject, named(key, "places"), count=MOST)
    pixels = jnp.stack([column, row], axis=-1) + 0.5
    depth = subject.clean.depth[frame, row, column]
    means = unproject(subject.cameras[frame], pixels, depth)
    live = (jnp.arange(MOST) < between(PAIRS, severity)) & (severity > 0) & (depth > 0)
    opacity = _uniform(named(key, "opacity"), OPACITY)
    size = _uniform(named(key, "size"), SIZE) * short_side(subject.cameras)
    scales = jnp.log(size * pixel_sizes(subject.cameras, means))
    return Splat(
        means=means,
        log_scales=jnp.broadcast_to(scales[:, None], (MOST, 3)),
        quats=jax.random.normal(named(key, "quats"), (MOST, 4)),
        logit_opacities=jnp.where(live, jax.scipy.special.logit(opacity), DEAD_LOGIT),
        sh=jnp.asarray(sh_from_rgb(_colors(subject, frame, pixels, key)))[:, None],
    )


def _colors(
    subject: Subject,
    frame: Int[Array, " n"],
    pixels: Float[Array, "n 2"],
    key: Key[Array, ""],
) -> Float[Array, "n 3"]:
    """Of the clip, `AWAY` from the given pixels in some direction."""
    angle = _uniform(named(key, "angle"), (0.0, 2 * jnp.pi))
    way = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    sides = jnp.array([subject.cameras.width, subject.cameras.height])
    place = jnp.clip(pixels + AWAY * short_side(subject.cameras) * way, 0, sides - 1)
    column, row = place.astype(jnp.int32).T
    return subject.clean.color[frame, row, column]


def _uniform(key: Key[Array, ""], span: tuple[float, float]) -> Float[Array, " n"]:
    return jax.random.uniform(key, (MOST,), minval=span[0], maxval=span[1])
