"""How far worlds are from one another: in colors, in gradients, in where things stand.

Each view of diversity is a histogram of sum 1, and two of them differ by their total
variation distance: the share, in [0, 1], of one that would have to move to make the
other. Colors and gradients are those of photos; the layout is that of the primitives,
from above and in three layers, in units of the stage's radius.
"""

import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.data.procedural.solids import KINDS
from aw_jax.data.procedural.worlds import ProceduralWorld

FLOORS = {"color": 0.1, "gradient": 0.04, "layout": 0.09}
"""No two of 300 worlds may be closer than this.

Colors: the median distance of two walks through one world is 0.097, and all 300 have no
neighbour nearer (least 0.113, median 0.26). Gradients: two walks differ by 0.043 to
0.146 (5th and 95th percentile), neighbours by 0.042 and more (median 0.065). Layout: a
world whose things are all moved by 0.1 m differs by 0.036 from itself (95 %: below
0.089), neighbours by 0.10 and more (median 0.29). Measured on the first 300 test seeds
by scripts/measure_scenes.py; 0 is the same world twice.
"""

LEVELS = 4
"""Bins of each of red, green, blue, in display values."""
ANGLES, STEPS = 8, (0.01, 0.03, 0.1)
"""Bins of a gradient's direction (mod pi), and of its size (display values a pixel)."""
CELLS, LAYERS, REACH = 8, 3, 1.2
"""Cells along x and y, layers along z, and the half side in radii of the stage."""


def signature(
    world: ProceduralWorld, images: Float[np.ndarray, "v h w 3"]
) -> dict[str, Float[np.ndarray, " d"]]:
    """The histograms of a world seen in some photos, by the names of FLOORS."""
    return {
        "color": colors(images),
        "gradient": gradients(images),
        "layout": layout(world),
    }


def nearest(histograms: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """The distance of each histogram to the nearest of the others."""
    found = np.full(len(histograms), np.inf)
    for i, one in enumerate(histograms):
        gaps = distance(histograms, one)
        gaps[i] = np.inf
        found[i] = gaps.min()
    return found


def distance(
    a: Float[np.ndarray, "*b d"], b: Float[np.ndarray, "*b d"] | Float[np.ndarray, " d"]
) -> Float[np.ndarray, "*b"]:
    """Total variation between histograms of sum 1."""
    return np.asarray(0.5 * np.abs(a - b).sum(axis=-1))


def colors(images: Float[np.ndarray, "v h w 3"]) -> Float[np.ndarray, " d"]:
    """Joint histogram of red, green and blue."""
    levels = np.clip(images * LEVELS, 0, LEVELS - 1).astype(int).reshape(-1, 3)
    return _counted(levels @ [LEVELS * LEVELS, LEVELS, 1], LEVELS**3)


def gradients(images: Float[np.ndarray, "v h w 3"]) -> Float[np.ndarray, " d"]:
    """Joint histogram of direction and size of the grey image's gradient."""
    dy, dx = np.gradient(images.mean(axis=-1), axis=(1, 2))
    angle = np.floor(np.arctan2(dy, dx) / np.pi % 1 * ANGLES).astype(int) % ANGLES
    size = np.digitize(np.hypot(dx, dy), STEPS)
    return _counted(size * ANGLES + angle, ANGLES * (len(STEPS) + 1))


def layout(world: ProceduralWorld) -> Float[np.ndarray, " d"]:
    """Where things stand around the focus, each counted by its size.

    A thing is shared out among the eight nearest cells, so that moving it a little
    changes the histogram a little. Walls, ground and sky are left out.
    """
    solids, stage = world.matter.solids, world.stage
    scale = float(np.mean(stage.radius))
    size = np.asarray(solids.radii, float).max(axis=-1)
    shape = np.repeat(list(KINDS), list(KINDS.values()))
    inner = (shape != "dome") & ~((shape == "card") & (size > 1))
    place = (np.asarray(solids.centers, float) - stage.focus) / scale
    inner &= (np.abs(place) < REACH).all(axis=-1)
    cells = np.array([CELLS, CELLS, LAYERS])
    at = (place[inner] / REACH + 1) / 2 * (cells - 1)
    counted = np.zeros(cells)
    for corner in np.ndindex(2, 2, 2):
        low = np.floor(at).astype(int)
        weight = np.where(np.array(corner) == 1, at - low, 1 - at + low).prod(axis=-1)
        np.add.at(counted, tuple((low + corner).T), weight * size[inner] / scale)
    return counted.ravel() / max(float(counted.sum()), 1e-9)


def _counted(index: np.ndarray, bins: int) -> Float[np.ndarray, " d"]:
    """The share of entries in each bin."""
    return np.bincount(index.ravel(), minlength=bins) / index.size
