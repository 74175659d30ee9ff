"""Things that stand on open ground: trees, bushes, fences, huts, rocks, posts."""

import numpy as np

from aw_jax.data.procedural.furniture import (
    Place,
    Workshop,
    blade,
    box,
    rod,
)
from aw_jax.data.procedural.palette import ANYTHING
from aw_jax.data.procedural.solids import facing


def tree(shop: Workshop, place: Place) -> None:
    """A trunk, branches, a crown of balls and loose leaves around it."""
    h, bark, leaf = shop.uniform(1.2, 2.6), shop.pick("wood"), shop.pick("foliage")
    top = place.point(shop.uniform(-0.2, 0.2), shop.uniform(-0.2, 0.2), h)
    rod(shop, place.at, top, shop.uniform(0.07, 0.15), bark)
    for k in range(int(shop.rng.integers(2, 5))):
        offset = shop.rng.normal(size=3) * np.array([0.45, 0.45, 0.25])
        center = top + offset + np.array([0, 0, 0.25])
        r = shop.uniform(0.35, 0.7)
        shop.builder.add("ball", center, (r, r * 0.9, r * 0.75), leaf)
        if k < 2:
            rod(shop, place.point(0, 0, 0.6 * h), center, 0.035, bark)
        for _ in range(5):
            way = shop.rng.normal(size=3)
            blade(shop, center + way / np.linalg.norm(way) * r, 0.14, leaf)


def conifer(shop: Workshop, place: Place) -> None:
    """A trunk through a stack of ever smaller flat balls."""
    h, leaf = shop.uniform(1.8, 3.2), shop.pick("foliage")
    rod(shop, place.at, place.point(0, 0, h), 0.06, shop.pick("wood"))
    for share in (0.3, 0.55, 0.8):
        r = 0.85 * (1.1 - share)
        center = place.point(0, 0, h * share)
        shop.builder.add("ball", center, (r, r, 0.4), leaf, place.axes)


def bush(shop: Workshop, place: Place) -> None:
    """A low ball of leaves with loose ones on its skin."""
    r, leaf = shop.uniform(0.25, 0.5), shop.pick("foliage")
    shop.builder.add("ball", place.point(0, 0, r * 0.6), (r, r, r * 0.8), leaf)
    for _ in range(12):
        way = shop.rng.normal(size=3)
        way[2] = abs(way[2])
        tip = place.point(0, 0, r * 0.5) + way / np.linalg.norm(way) * r
        blade(shop, tip, 0.1, leaf)


def reeds(shop: Workshop, place: Place) -> None:
    """Thin tall stalks, each with a leaf or two."""
    leaf = shop.pick("foliage")
    for _ in range(int(shop.rng.integers(5, 9))):
        foot = place.point(shop.uniform(-0.3, 0.3), shop.uniform(-0.3, 0.3), 0.0)
        lean = np.append(shop.rng.normal(size=2) * 0.15, shop.uniform(0.6, 1.3))
        rod(shop, foot, foot + lean, 0.012, leaf)
        blade(shop, foot + lean * 0.7, 0.12, leaf)


def fence(shop: Workshop, place: Place) -> None:
    """Posts in a row with two rails."""
    n, h, gap = int(shop.rng.integers(4, 8)), shop.uniform(0.6, 1.1), 0.45
    timber = shop.pick("wood", "metal")
    for i in range(n):
        foot = place.point((i - (n - 1) / 2) * gap, 0, 0.0)
        rod(shop, foot, foot + np.array([0, 0, h]), 0.03, timber)
    reach = (n - 1) / 2 * gap
    for share in (0.4, 0.85):
        start, end = place.point(-reach, 0, h * share), place.point(reach, 0, h * share)
        rod(shop, start, end, 0.022, timber)


def hut(shop: Workshop, place: Place) -> None:
    """Brick or timber walls, a pitched roof, a door and a window."""
    w, d, h = shop.uniform(1.4, 2.6), shop.uniform(1.2, 2.0), shop.uniform(1.1, 1.8)
    box(shop, place, (0, 0, 0), (w, d, h), shop.pick("bricks", "wood", "plaster"))
    roof = shop.pick("tiles", "wood", "stone")
    for side in (-1, 1):
        normal = place.axes @ np.array([0.0, side * 0.6, 0.8])
        center = place.point(0, side * d * 0.28, h + d * 0.2)
        radii = (w * 0.56, d * 0.42, 0.01)
        shop.builder.add("card", center, radii, roof, facing(normal))
    for x, y, size, name in (
        (-0.25, 0.0, 0.45, "wood"),
        (0.25, 0.25, 0.28, "landscape"),
    ):
        for side in (-1, 1):
            normal = place.axes @ np.array([0.0, float(side), 0.0])
            center = place.point(x * w, side * (d / 2 + 0.01), h * 0.4 + y)
            radii = (size * 0.6, size, 0.01)
            shop.builder.add("card", center, radii, shop.pick(name), facing(normal))


def wall(shop: Workshop, place: Place) -> None:
    """A free-standing wall with a poster on each side."""
    w, h = shop.uniform(1.5, 3.0), shop.uniform(0.8, 1.8)
    stuff = shop.pick("bricks", "stone", "plaster", "paving")
    box(shop, place, (0, 0, 0), (w, 0.2, h), stuff)
    for side in (-1, 1):
        normal = place.axes @ np.array([0.0, float(side), 0.0])
        center = place.point(shop.uniform(-0.2, 0.2) * w, side * 0.11, h * 0.55)
        radii = (h * 0.3, h * 0.36, 0.01)
        sheet = shop.pick("page", "leaves", "landscape")
        shop.builder.add("card", center, radii, sheet, facing(normal))


def rocks(shop: Workshop, place: Place) -> None:
    """A few stones of different sizes, half sunk."""
    stuff = shop.pick("stone", "paving")
    for _ in range(int(shop.rng.integers(2, 5))):
        r = shop.uniform(0.12, 0.4)
        at = place.point(shop.uniform(-0.5, 0.5), shop.uniform(-0.5, 0.5), r * 0.3)
        radii = (r, r * shop.uniform(0.6, 1), r * shop.uniform(0.5, 0.8))
        shop.builder.add("ball", at, radii, stuff, place.axes)


def post(shop: Workshop, place: Place) -> None:
    """A thin pole with a sign, or a street lamp."""
    h = shop.uniform(1.4, 2.4)
    steel = shop.pick("metal", gloss=0.2)
    rod(shop, place.at, place.point(0, 0, h), 0.03, steel)
    if shop.rng.uniform() < 0.5:
        r = 0.16
        glass = shop.pick("metal", glow=0.8)
        shop.builder.add("ball", place.point(0, 0, h), (r, r, r), glass)
        return
    sign = shop.pick("page", "stripes", "leaves")
    center = place.point(0, -0.04, h - 0.25)
    shop.builder.add("box", center, (0.35, 0.015, 0.24), sign, place.axes)


def bench(shop: Workshop, place: Place) -> None:
    """Two slats for a seat, one for the back, on two blocks."""
    w, timber = shop.uniform(1.0, 1.6), shop.pick("wood")
    for y in (-0.12, 0.12):
        box(shop, place, (0.0, y, 0.42), (w, 0.18, 0.04), timber)
    box(shop, place, (0.0, 0.25, 0.6), (w, 0.03, 0.2), timber)
    block = shop.pick("stone", "metal")
    for side in (-1, 1):
        box(shop, place, (side * w * 0.38, 0, 0.0), (0.1, 0.4, 0.42), block)


def barrel(shop: Workshop, place: Place) -> None:
    """A drum, with something on its lid."""
    r, h = shop.uniform(0.2, 0.35), shop.uniform(0.5, 0.9)
    skin = shop.pick(*ANYTHING, gloss=float(shop.rng.choice([0.0, 0.3])))
    rod(shop, place.at, place.point(0, 0, h), r, skin)
    shop.builder.add(
        "ball",
        place.point(0, 0, h + 0.12),
        (0.12, 0.12, 0.12),
        shop.pick(*ANYTHING),
    )
