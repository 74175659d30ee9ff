"""Where things stand: rooms, galleries, tables, gardens, yards.

A layout fills the builder and answers with the stage: what is looked at, and from where
a camera may look. Cameras stand in a sector around the focus that is kept free.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.data.procedural import furniture, outdoors
from aw_jax.data.procedural.furniture import Place, Workshop
from aw_jax.data.procedural.palette import ANYTHING
from aw_jax.data.procedural.solids import facing

Maker = Callable[[Workshop, Place], object]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """What a camera looks at and where it may stand; metres and radians."""

    focus: Float[np.ndarray, "3"]
    radius: tuple[float, float]
    """Horizontal distance from the focus."""
    height: tuple[float, float]
    """Above the world's floor."""
    azimuth: tuple[float, float]
    """The sector that is free, seen from the focus."""
    bounds: tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]
    """The box cameras stay in: the room less a margin, or all outdoors."""
    outdoors: bool = False


INDOORS: Sequence[Maker] = (
    furniture.table,
    furniture.chair,
    furniture.chair,
    furniture.shelf,
    furniture.sofa,
    furniture.lamp,
    furniture.plant,
    furniture.crates,
    furniture.globe,
    furniture.pedestal,
)
GARDEN: Sequence[Maker] = (
    outdoors.tree,
    outdoors.bush,
    outdoors.reeds,
    outdoors.fence,
    outdoors.rocks,
    outdoors.bench,
    outdoors.post,
    furniture.plant,
    furniture.globe,
)
YARD: Sequence[Maker] = (
    outdoors.wall,
    outdoors.barrel,
    outdoors.post,
    outdoors.fence,
    outdoors.bench,
    furniture.crates,
    furniture.globe,
    furniture.pedestal,
    furniture.table,
)
DISTANT: Sequence[Maker] = (
    outdoors.tree,
    outdoors.conifer,
    outdoors.hut,
    outdoors.wall,
    outdoors.bush,
)


def living_room(shop: Workshop) -> Stage:
    """A furnished room seen from one of its sides."""
    half = _shell(
        shop, np.array([shop.uniform(2.6, 3.4), shop.uniform(2.8, 3.4), 1.35])
    )
    region = np.array([[1.1 - half[0], -0.9], [half[0] - 1.1, half[1] - 0.7]])
    _scatter(shop, INDOORS, int(shop.rng.integers(5, 9)), region, spacing=0.95)
    focus = np.array([0.0, shop.uniform(0.2, 0.8), shop.uniform(0.6, 1.0)])
    return _room_stage(shop, half, focus, sweep=0.85)


def gallery(shop: Workshop) -> Stage:
    """Pedestals and globes in a hall with many pictures."""
    half = _shell(shop, np.array([3.6, 3.2, 1.6]), pictures=12)
    region = np.array([[-2.4, -0.7], [2.4, half[1] - 0.9]])
    makers = (furniture.pedestal, furniture.globe, furniture.plant, furniture.crates)
    _scatter(shop, makers, int(shop.rng.integers(4, 8)), region, spacing=0.9)
    focus = np.array([shop.uniform(-0.3, 0.3), 0.5, 1.0])
    return _room_stage(shop, half, focus, sweep=0.9)


def table_top(shop: Workshop) -> Stage:
    """A close view of a crowded table in a room."""
    half = _shell(shop, np.array([shop.uniform(2.2, 3.0), shop.uniform(2.2, 3.0), 1.3]))
    h = shop.uniform(0.6, 0.8)
    w = shop.uniform(0.6, 0.9)
    top = shop.pick("wood", "tiles", "plaid", "stone", gloss=0.1)
    furniture.box(
        shop, Place(at=np.zeros(3)), (0, 0, h - 0.06), (2 * w, 1.4, 0.06), top
    )
    furniture.box(shop, Place(at=np.zeros(3)), (0, 0, 0), (0.5, 0.5, h - 0.06), top)
    for x, y in _spread(shop, 14, np.array([[-w, -0.6], [w, 0.6]]), spacing=0.19):
        place = Place(at=np.array([x, y, h]), yaw=shop.uniform(0.0, 6.28))
        maker = furniture.trinket if shop.uniform(0.0, 1.0) < 0.85 else _small_plant
        maker(shop, place)
    focus = np.array([0.0, 0.0, h + 0.1])
    sweep = shop.uniform(0.6, 1.6)
    return Stage(
        focus=focus,
        radius=(1.05, 1.7),
        height=(h + 0.35, h + 0.95),
        azimuth=(-np.pi / 2 - sweep, -np.pi / 2 + sweep),
        bounds=_inside(half),
    )


def garden(shop: Workshop) -> Stage:
    """Plants, rocks and a bench on a meadow, trees and huts behind."""
    return _open_air(shop, GARDEN, ground=("grass", "grass", "paving"))


def yard(shop: Workshop) -> Stage:
    """Walls, barrels and crates on paved ground."""
    return _open_air(shop, YARD, ground=("paving", "tiles", "stone", "grass"))


LAYOUTS: dict[str, Callable[[Workshop], Stage]] = {
    "living_room": living_room,
    "gallery": gallery,
    "table_top": table_top,
    "garden": garden,
    "yard": yard,
}


def _open_air(shop: Workshop, makers: Sequence[Maker], ground: Sequence[str]) -> Stage:
    """Ground under a dome; things near the focus, others beyond the cameras' ring."""
    sky = shop.palette.pick(shop.rng, "sky", glow=1.0)
    shop.builder.add("dome", np.zeros(3), (22.0, 22.0, 22.0), sky)
    floor = shop.pick(*ground)
    flat = np.array([0.0, 0.0, 1.0])
    shop.builder.add("card", np.zeros(3), (24.0, 24.0, 1.0), floor, facing(flat))
    region = np.array([[-1.9, -1.2], [1.9, 1.9]])
    _scatter(shop, makers, int(shop.rng.integers(5, 9)), region, spacing=1.0)
    for angle in np.linspace(0.0, np.pi, 6) + shop.uniform(-0.2, 0.2):
        r = shop.uniform(5.5, 8.0)
        at = np.array([r * np.cos(angle), r * np.sin(angle), 0.0])
        maker = DISTANT[int(shop.rng.integers(len(DISTANT)))]
        maker(shop, Place(at=at, yaw=angle + np.pi / 2 + shop.uniform(-0.3, 0.3)))
    sweep = shop.uniform(0.6, 1.2)
    far = np.array([20.0, 20.0, 6.0])
    return Stage(
        focus=np.array([0.0, 0.2, shop.uniform(0.5, 0.9)]),
        radius=(3.0, 4.3),
        height=(0.7, 2.2),
        azimuth=(-np.pi / 2 - sweep, -np.pi / 2 + sweep),
        bounds=(np.array([-20.0, -20.0, 0.3]), far),
        outdoors=True,
    )


def _shell(
    shop: Workshop, half: Float[np.ndarray, "3"], *, pictures: int = 7
) -> Float[np.ndarray, "3"]:
    """Floor, ceiling, four walls, a rug and pictures; returns the half extents."""
    x, y, z = half
    add, up = shop.builder.add, np.array([0.0, 0.0, 1.0])
    floor = shop.pick("wood", "tiles", "stone", "cloth", gloss=0.06)
    add("card", np.zeros(3), (x, y, 1.0), floor, facing(up))
    add("card", 2 * z * up, (x, y, 1.0), shop.pick("plaster"), facing(-up))
    rug = shop.pick("leaves", "plaid", "stripes", "cloth")
    size = (shop.uniform(0.9, 1.6), shop.uniform(0.7, 1.2), 1.0)
    add(
        "card",
        np.array([0.0, 0.2, 0.006]),
        size,
        rug,
        facing(up, roll=shop.uniform(-0.4, 0.4)),
    )
    common = shop.pick("plaster", "wallpaper", "bricks", "plaster")
    for normal, reach, wide in (
        (np.array([1.0, 0, 0]), x, y),
        (np.array([-1.0, 0, 0]), x, y),
        (np.array([0, 1.0, 0]), y, x),
        (np.array([0, -1.0, 0]), y, x),
    ):
        cover = (
            common
            if shop.uniform(0.0, 1.0) < 0.7
            else shop.pick("plaster", "wallpaper")
        )
        center = -normal * reach + z * up
        add("card", center, (wide, z, 1.0), cover, facing(normal))
    _hang(shop, half, pictures)
    return half


def _hang(shop: Workshop, half: Float[np.ndarray, "3"], count: int) -> None:
    """Pictures, pages and landscapes on the back wall and the two beside it."""
    x, y, z = half
    slots = [(np.array([0, -1.0, 0]), y, t * x) for t in (-0.75, -0.4, 0.0, 0.35, 0.7)]
    slots += [(np.array([1.0, 0, 0]), x, t * y) for t in (-0.3, 0.1, 0.5, 0.8)]
    slots += [(np.array([-1.0, 0, 0]), x, t * y) for t in (-0.3, 0.1, 0.5, 0.8)]
    for i in shop.rng.permutation(len(slots))[:count]:
        normal, reach, shift = slots[i]
        sideways = np.array([-normal[1], normal[0], 0.0])
        height = np.array([0.0, 0.0, z * shop.uniform(1.0, 1.35)])
        center = -normal * (reach - 0.015) + sideways * shift + height
        sheet = shop.pick("picture", "landscape", "page", "leaves")
        radii = (shop.uniform(0.2, 0.42), shop.uniform(0.2, 0.42), 0.01)
        shop.builder.add("card", center, radii, sheet, facing(normal))


def _scatter(
    shop: Workshop,
    makers: Sequence[Maker],
    count: int,
    region: Float[np.ndarray, "2 2"],
    *,
    spacing: float,
) -> None:
    """Sets things down in a rectangle, none closer than `spacing` to another."""
    for x, y in _spread(shop, count, region, spacing=spacing):
        maker = makers[int(shop.rng.integers(len(makers)))]
        yaw = shop.uniform(-0.6, 0.6) + np.pi / 2 * int(shop.rng.integers(0, 2))
        maker(shop, Place(at=np.array([x, y, 0.0]), yaw=yaw))


def _spread(
    shop: Workshop, count: int, region: Float[np.ndarray, "2 2"], *, spacing: float
) -> list[Float[np.ndarray, "2"]]:
    """Up to `count` random points of a rectangle that keep their distance."""
    found: list[np.ndarray] = []
    for point in shop.rng.uniform(region[0], region[1], size=(30 * count, 2)):
        if all(np.linalg.norm(point - other) > spacing for other in found):
            found.append(point)
        if len(found) == count:
            break
    return found


def _small_plant(shop: Workshop, place: Place) -> None:
    """A few leaves in a cup."""
    cup = shop.pick(*ANYTHING)
    furniture.rod(shop, place.at, place.point(0, 0, 0.12), 0.06, cup)
    leaf = shop.pick("foliage")
    for _ in range(9):
        furniture.blade(shop, place.point(0, 0, shop.uniform(0.14, 0.3)), 0.05, leaf)


def _inside(
    half: Float[np.ndarray, "3"],
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """The box of camera positions in a room."""
    low = np.array([0.3 - half[0], 0.3 - half[1], 0.3])
    return low, np.array([half[0] - 0.3, half[1] - 0.3, 2 * half[2] - 0.3])


def _room_stage(
    shop: Workshop,
    half: Float[np.ndarray, "3"],
    focus: Float[np.ndarray, "3"],
    *,
    sweep: float,
) -> Stage:
    """Cameras at eye height on the free side of a room."""
    sweep = shop.uniform(0.6, 1.0) * sweep
    return Stage(
        focus=focus,
        radius=(2.3, half[1] - 0.3 + focus[1]),
        height=(0.9, 1.9),
        azimuth=(-np.pi / 2 - sweep, -np.pi / 2 + sweep),
        bounds=_inside(half),
    )
