"""Things that stand on a floor or a table, put together from primitives.

Each function adds one thing at a place (the centre of its foot, world metres, z up),
turned by `yaw`, of sizes drawn from the generator.
"""

import dataclasses

import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.data.procedural.palette import ANYTHING, Palette
from aw_jax.data.procedural.solids import Builder, Material, about_z, along, facing

Point = Float[np.ndarray, "3"]
Number = float | int
Triple = tuple[Number, Number, Number]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workshop:
    """What every maker of things needs."""

    rng: np.random.Generator
    builder: Builder
    palette: Palette

    def uniform(self, low: Number, high: Number) -> float:
        """One uniform draw."""
        return float(self.rng.uniform(low, high))

    def pick(self, *names: str, gloss: float = 0.0, glow: float = 0.0) -> Material:
        """One material of the palette."""
        return self.palette.pick(self.rng, *names, gloss=gloss, glow=glow)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A foot point and a heading: local x and y are in metres along the heading."""

    at: Point
    yaw: float = 0.0

    def point(self, x: Number, y: Number, z: Number) -> Point:
        """The world point at local (x, y) and height z above the foot."""
        return self.at + about_z(self.yaw) @ np.array([x, y, z])

    @property
    def axes(self) -> Float[np.ndarray, "3 3"]:
        """The rotation of things that stand straight here."""
        return about_z(self.yaw)


def box(
    shop: Workshop,
    place: Place,
    low: Triple,
    size: Triple,
    material: Material,
) -> None:
    """An upright box: `low` the centre of its bottom face, `size` its extents."""
    center = place.point(low[0], low[1], low[2] + size[2] / 2)
    half = (size[0] / 2, size[1] / 2, size[2] / 2)
    shop.builder.add("box", center, half, material, place.axes)


def rod(
    shop: Workshop, start: Point, end: Point, radius: float, material: Material
) -> None:
    """A cylinder from one point to another."""
    half = float(np.linalg.norm(end - start)) / 2
    radii = (radius, radius, half)
    shop.builder.add("cylinder", (start + end) / 2, radii, material, along(end - start))


def table(shop: Workshop, place: Place) -> float:
    """A top on four legs with small things on it; returns the height of the top."""
    w, d, h = shop.uniform(0.9, 1.8), shop.uniform(0.6, 1.0), shop.uniform(0.5, 0.8)
    top, legs = (
        shop.pick("wood", "stone", "tiles", gloss=0.1),
        shop.pick("wood", "metal"),
    )
    box(shop, place, (0, 0, h - 0.05), (w, d, 0.05), top)
    thick = shop.uniform(0.015, 0.04)
    for sx in (-1, 1):
        for sy in (-1, 1):
            foot = place.point(sx * (w / 2 - 0.06), sy * (d / 2 - 0.06), 0.0)
            rod(shop, foot, foot + np.array([0, 0, h - 0.05]), thick, legs)
    for _ in range(int(shop.rng.integers(3, 8))):
        x, y = shop.uniform(-0.42, 0.42) * w, shop.uniform(-0.4, 0.4) * d
        trinket(shop, Place(at=place.point(x, y, h), yaw=shop.uniform(0.0, 6.28)))
    return h


def chair(shop: Workshop, place: Place) -> None:
    """A seat, a back and four thin legs."""
    w, h = shop.uniform(0.38, 0.5), shop.uniform(0.4, 0.5)
    seat, frame = shop.pick("wood", "cloth", "plaid"), shop.pick("wood", "metal")
    box(shop, place, (0, 0, h), (w, w, 0.05), seat)
    box(
        shop,
        place,
        (0.0, w / 2 - 0.02, h + 0.1),
        (w, 0.03, shop.uniform(0.3, 0.55)),
        seat,
    )
    for sx in (-1, 1):
        for sy in (-1, 1):
            foot = place.point(sx * (w / 2 - 0.03), sy * (w / 2 - 0.03), 0.0)
            rod(shop, foot, foot + np.array([0, 0, h]), 0.017, frame)


def shelf(shop: Workshop, place: Place) -> None:
    """A bookcase: books behind boards."""
    w, d, h = shop.uniform(0.8, 1.6), shop.uniform(0.25, 0.4), shop.uniform(1.0, 2.1)
    frame = shop.pick("wood")
    box(
        shop,
        place,
        (0.0, 0.03, 0.0),
        (w - 0.06, d - 0.06, h - 0.04),
        shop.pick("books"),
    )
    for side in (-1, 1):
        box(shop, place, (side * w / 2, 0, 0.0), (0.04, d, h), frame)
    box(shop, place, (0, 0, h - 0.04), (w, d, 0.04), frame)
    for x in (-0.3, 0.25):
        trinket(shop, Place(at=place.point(x * w, 0, h), yaw=shop.uniform(0.0, 6.28)))


def sofa(shop: Workshop, place: Place) -> None:
    """A seat with a back, two arms and two cushions."""
    w = shop.uniform(1.2, 2.0)
    cover = shop.pick("cloth", "plaid", "stripes")
    box(shop, place, (0, 0, 0.1), (w, 0.8, 0.3), cover)
    box(shop, place, (0.0, 0.35, 0.1), (w, 0.2, 0.65), cover)
    for side in (-1, 1):
        box(shop, place, (side * w / 2, 0, 0.1), (0.18, 0.8, 0.45), cover)
        pillow = shop.pick("leaves", "plaid", "stripes", "cloth")
        center = place.point(side * w * 0.25, 0.12, 0.55)
        shop.builder.add("ball", center, (0.24, 0.1, 0.2), pillow, place.axes)


def lamp(shop: Workshop, place: Place) -> None:
    """A thin pole on a foot, with a glowing shade."""
    h = shop.uniform(1.2, 1.8)
    steel = shop.pick("metal", gloss=0.3)
    rod(shop, place.at, place.point(0, 0, 0.03), 0.16, steel)
    rod(shop, place.at, place.point(0, 0, h), 0.014, steel)
    shade = shop.pick("cloth", "stripes", glow=0.7)
    rod(
        shop,
        place.point(0, 0, h - 0.05),
        place.point(0, 0, h + 0.25),
        0.17,
        shade,
    )


def plant(shop: Workshop, place: Place) -> None:
    """A pot with stems that bend outwards, each bearing leaves."""
    r, h = shop.uniform(0.12, 0.22), shop.uniform(0.2, 0.4)
    pot = shop.pick("stone", "metal", "stripes", gloss=0.15)
    rod(shop, place.at, place.point(0, 0, h), r, pot)
    leaf, stem = shop.pick("foliage"), shop.pick("wood")
    reach = shop.uniform(0.5, 1.0)
    for k in range(int(shop.rng.integers(3, 6))):
        angle = 2.4 * k + shop.uniform(0.0, 0.5)
        tip = place.point(0.35 * np.cos(angle), 0.35 * np.sin(angle), h + reach)
        root = place.point(0, 0, h)
        rod(shop, root, tip, 0.008, stem)
        for share in np.linspace(0.35, 1.0, 5):
            blade(shop, root + (tip - root) * share, 0.1 * reach + 0.03, leaf)


def blade(shop: Workshop, at: Point, size: float, material: Material) -> None:
    """One leaf: a narrow disc at a random tilt near `at`."""
    normal = shop.rng.normal(size=3) + np.array([0, 0, 0.8])
    radii = (size * shop.uniform(0.7, 1.3), size * shop.uniform(0.35, 0.7), 0.01)
    turn = facing(normal, roll=shop.uniform(0.0, 6.28))
    shop.builder.add(
        "disc", at + shop.rng.normal(size=3) * size * 0.5, radii, material, turn
    )


def trinket(shop: Workshop, place: Place) -> None:
    """Something small: a book, a mug, a bowl, a ball, a box, a bottle, a photo."""
    kind = shop.rng.choice(["book", "mug", "ball", "box", "bottle", "photo"])
    stuff = shop.pick(*ANYTHING, gloss=float(shop.rng.choice([0.0, 0.25])))
    if kind == "book":
        for i in range(int(shop.rng.integers(1, 4))):
            cover = shop.pick("page", "leaves", "stripes", "landscape")
            turned = dataclasses.replace(place, yaw=place.yaw + shop.uniform(-0.3, 0.3))
            box(shop, turned, (0, 0, 0.035 * i), (0.17, 0.24, 0.035), cover)
    elif kind == "mug":
        r = shop.uniform(0.035, 0.07)
        rod(shop, place.at, place.point(0, 0, 2.2 * r), r, stuff)
    elif kind == "ball":
        r = shop.uniform(0.05, 0.13)
        shop.builder.add("ball", place.point(0, 0, r), (r, r, r), stuff, place.axes)
    elif kind == "box":
        w, d, h = (shop.uniform(0.07, 0.25) for _ in range(3))
        box(shop, place, (0, 0, 0), (w, d, h), stuff)
    elif kind == "bottle":
        r, h = shop.uniform(0.03, 0.05), shop.uniform(0.15, 0.25)
        rod(shop, place.at, place.point(0, 0, h), r, stuff)
        rod(
            shop,
            place.point(0, 0, h),
            place.point(0, 0, h * 1.5),
            r * 0.4,
            stuff,
        )
    else:
        sheet = shop.pick("picture", "landscape", "page")
        h = shop.uniform(0.15, 0.28)
        box(shop, place, (0, 0, 0), (h * 0.8, 0.02, h), sheet)


def crates(shop: Workshop, place: Place) -> None:
    """A small stack of boxes, each turned a little."""
    height = 0.0
    for _ in range(int(shop.rng.integers(1, 4))):
        size = shop.uniform(0.3, 0.6)
        turned = dataclasses.replace(place, yaw=place.yaw + shop.uniform(-0.4, 0.4))
        box(
            shop,
            turned,
            (0, 0, height),
            (size, size, size * 0.8),
            shop.pick(*ANYTHING),
        )
        height += size * 0.8
    trinket(shop, Place(at=place.point(0, 0, height), yaw=place.yaw))


def globe(shop: Workshop, place: Place) -> None:
    """A ball on the floor, often shiny."""
    r = shop.uniform(0.18, 0.45)
    skin = shop.pick(*ANYTHING, gloss=float(shop.rng.choice([0.0, 0.3, 0.6])))
    shop.builder.add("ball", place.point(0, 0, r), (r, r, r), skin, place.axes)


def pedestal(shop: Workshop, place: Place) -> None:
    """A column with a sculpture of balls and rods on it."""
    h, r = shop.uniform(0.6, 1.1), shop.uniform(0.16, 0.28)
    column = shop.pick("stone", "tiles", "wood")
    if shop.rng.uniform() < 0.5:
        rod(shop, place.at, place.point(0, 0, h), r, column)
    else:
        box(shop, place, (0, 0, 0), (2 * r, 2 * r, h), column)
    stuff = shop.pick("stone", "metal", "leaves", gloss=0.4)
    for _ in range(int(shop.rng.integers(2, 5))):
        x, y, z = (
            shop.uniform(-0.12, 0.12),
            shop.uniform(-0.12, 0.12),
            shop.uniform(0.0, 0.4),
        )
        size = [shop.uniform(0.06, 0.18) for _ in range(3)]
        center = place.point(x, y, h + z + 0.1)
        shop.builder.add("ball", center, (size[0], size[1], size[2]), stuff, place.axes)
