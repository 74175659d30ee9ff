"""Ray tracing of unit shapes: which primitive a ray meets first, and is a light hidden.

A block of rays loops over the primitives whose bounding spheres its cone touches, one
kind after the other, so that empty slots and far things cost nothing and every loop
body is one vectorised formula.

In a primitive's own unit frame a convex shape is met at the larger of its entry
distances, if that is below the smaller of its exits. Directions are not normalised
there, so distances t are the world's.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Bool, Float, Int
from aw_jax.core.pytrees import pytree
from aw_jax.data.procedural.solids import FIRST, KINDS, Solids

FAR = 1e9
NEAR = 1e-3

Found = tuple[Float[Array, " r"], Int[Array, " r"]]
"""Distances and rows of the table."""

Vector = tuple[Float[Array, "..."], ...]
"""Components x, y, z of many rays, or of one for all."""
Carry = TypeVar("Carry")
Meeting = Callable[[Vector, Vector], Float[Array, " r"]]

CASTERS = ("box", "ball", "cylinder", "disc")
"""Kinds that throw shadows; cards are walls, ground and pictures on them."""


@pytree
class Bundle:
    """Rays that lie close together, and what they may meet."""

    origins: Vector
    directions: Vector
    near: Bool[Array, " p"]
    """Primitives that may be met; the others are not tried."""


def nearest(
    solids: Solids, rays: Bundle
) -> tuple[Float[Array, " r"], Int[Array, " r"]]:
    """Distance and row of the first primitive each ray meets; (FAR, 0) if none."""
    count = jnp.shape(rays.directions[0])
    best = (jnp.full(count, FAR), jnp.zeros(count, jnp.int32))

    def keep(kind: str, row: Int[Array, ""], best: Found) -> Found:
        t = _meet(solids, rays, kind, row)
        closer = t < best[0]
        return jnp.where(closer, t, best[0]), jnp.where(closer, row, best[1])

    for kind in KINDS:
        best = _over_near(rays.near, kind, keep, best)
    return best


def hidden(
    solids: Solids, rays: Bundle, reach: Float[Array, " r"]
) -> Bool[Array, " r"]:
    """Whether anything that throws shadows is met before `reach`."""

    def darken(
        kind: str, row: Int[Array, ""], dark: Bool[Array, " r"]
    ) -> Bool[Array, " r"]:
        return dark | (_meet(solids, rays, kind, row) < reach)

    dark = jnp.zeros(jnp.shape(reach), bool)
    for kind in CASTERS:
        dark = _over_near(rays.near, kind, darken, dark)
    return dark


def cone_touches(
    solids: Solids,
    apex: Float[Array, "3"],
    axis: Float[Array, "3"],
    cosine: Float[Array, ""],
) -> Bool[Array, " p"]:
    """Whether a bounding sphere touches the cone of half angle acos(cosine)."""
    offset = solids.centers - apex
    distance = jnp.linalg.norm(offset, axis=-1)
    radius = jnp.linalg.norm(solids.radii, axis=-1)
    inside = distance <= radius
    sine = jnp.clip(radius / jnp.maximum(distance, 1e-6), 0, 1)
    between = jnp.arccos(jnp.clip(offset @ axis / jnp.maximum(distance, 1e-6), -1, 1))
    return inside | (between <= jnp.arcsin(sine) + jnp.arccos(cosine))


def tube_touches(
    solids: Solids,
    start: Float[Array, "3"],
    end: Float[Array, "3"],
    width: Float[Array, ""],
) -> Bool[Array, " p"]:
    """Whether a bounding sphere comes within `width` of the segment start .. end."""
    way = end - start
    share = (solids.centers - start) @ way / jnp.maximum(way @ way, 1e-9)
    foot = start + jnp.clip(share, 0, 1)[:, None] * way
    gap = jnp.linalg.norm(solids.centers - foot, axis=-1)
    return gap <= jnp.linalg.norm(solids.radii, axis=-1) + width


def _over_near(
    near: Bool[Array, " p"],
    kind: str,
    body: Callable[[str, Int[Array, ""], Carry], Carry],
    start: Carry,
) -> Carry:
    """Folds `body` over the rows of one kind that are marked."""
    first = FIRST[kind]
    marked = near[first : first + KINDS[kind]]
    order = first + jnp.argsort(~marked, stable=True)

    def step(i: Int[Array, ""], carry: Carry) -> Carry:
        return body(kind, order[i], carry)

    return jax.lax.fori_loop(0, marked.sum(), step, start)


def _meet(
    solids: Solids, rays: Bundle, kind: str, row: Int[Array, ""]
) -> Float[Array, " r"]:
    """Distances to one primitive, FAR where it is missed or behind."""
    axes = solids.local_from_world[row] / solids.radii[row][:, None]
    center = solids.centers[row]
    offset = tuple(rays.origins[i] - center[i] for i in range(3))
    origin, direction = _turn(axes, offset), _turn(axes, rays.directions)
    return MEETINGS[kind](origin, direction)


def _turn(matrix: Float[Array, "3 3"], v: Vector) -> Vector:
    """The matrix applied to vectors kept as components."""
    return tuple(m[0] * v[0] + m[1] * v[1] + m[2] * v[2] for m in matrix)


def _slab(o: Array, d: Array) -> tuple[Float[Array, " r"], Float[Array, " r"]]:
    """Where a ray is within |q| <= 1 of one coordinate."""
    inverse = 1 / d
    a, b = (-1 - o) * inverse, (1 - o) * inverse
    return jnp.minimum(a, b), jnp.maximum(a, b)


def _round(o: Vector, d: Vector) -> tuple[Float[Array, " r"], Float[Array, " r"]]:
    """Where a ray is inside the unit circle or ball of the given coordinates."""
    a = jnp.maximum(sum(x * x for x in d), 1e-12)
    b = sum(x * y for x, y in zip(o, d, strict=True))
    c = sum(x * x for x in o) - 1
    square = b * b - a * c
    root, inverse = jnp.sqrt(jnp.maximum(square, 0)), 1 / a
    met = square > 0
    enter = jnp.where(met, (-b - root) * inverse, FAR)
    return enter, jnp.where(met, (-b + root) * inverse, -FAR)


def _entry(enter: Float[Array, " r"], leave: Float[Array, " r"]) -> Float[Array, " r"]:
    """The entry distance of a convex shape that is met from outside."""
    return jnp.where((enter < leave) & (enter > NEAR), enter, FAR)


def _box(o: Vector, d: Vector) -> Float[Array, " r"]:
    (x0, x1), (y0, y1), (z0, z1) = (_slab(a, b) for a, b in zip(o, d, strict=True))
    enter = jnp.maximum(jnp.maximum(x0, y0), z0)
    return _entry(enter, jnp.minimum(jnp.minimum(x1, y1), z1))


def _ball(o: Vector, d: Vector) -> Float[Array, " r"]:
    return _entry(*_round(o, d))


def _cylinder(o: Vector, d: Vector) -> Float[Array, " r"]:
    (a0, a1), (z0, z1) = _round(o[:2], d[:2]), _slab(o[2], d[2])
    return _entry(jnp.maximum(a0, z0), jnp.minimum(a1, z1))


def _card(o: Vector, d: Vector) -> Float[Array, " r"]:
    t = -o[2] / d[2]
    x, y = o[0] + t * d[0], o[1] + t * d[1]
    inside = jnp.maximum(jnp.abs(x), jnp.abs(y)) < 1
    return jnp.where(inside & (t > NEAR), t, FAR)


def _disc(o: Vector, d: Vector) -> Float[Array, " r"]:
    t = -o[2] / d[2]
    x, y = o[0] + t * d[0], o[1] + t * d[1]
    return jnp.where((x * x + y * y < 1) & (t > NEAR), t, FAR)


def _dome(o: Vector, d: Vector) -> Float[Array, " r"]:
    _, leave = _round(o, d)
    return jnp.where(leave > NEAR, leave, FAR)


MEETINGS: dict[str, Meeting] = {
    "box": _box,
    "ball": _ball,
    "cylinder": _cylinder,
    "card": _card,
    "disc": _disc,
    "dome": _dome,
}
