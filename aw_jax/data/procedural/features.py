"""What a capture of a world really shows, counted in the pixels of its views.

Nothing here trusts the name of a layout: a feature is there if enough pixels see
primitives that have it, hidden parts left out, or if the gains of its photos say so.
"""

import numpy as np

from aw_jax.core.arrays import Bool, Float
from aw_jax.data.procedural.palette import PAINTERS
from aw_jax.data.procedural.rendering import rows
from aw_jax.data.procedural.solids import KINDS, Solids
from aw_jax.data.procedural.worlds import ProceduralWorld
from aw_jax.geometry.cameras import Cameras, resized

LEAST_SHARE = {
    "textured_room": 0.2,
    "outdoor_ground": 0.2,
    "objects": 0.05,
    "thin_structures": 0.003,
    "foliage": 0.005,
    "specular": 0.01,
}
"""Of all pixels of a capture. A rod is a pixel wide at most: 0.3 % are 28 pixels of a
96 x 96 photo, a third of its height."""

LEAST_STOPS = 0.25
"""Between the brightest and the darkest exposure of a capture: 19 % of linear light."""

FEATURES = (*LEAST_SHARE, "changing_exposure")

VIEWS, SIZE = 5, 24
"""How many frames of a capture are looked at, and at how many pixels a side."""

TEXTURES = np.array(
    [name for name, (_, count) in PAINTERS.items() for _ in range(count)]
)
"""The name of each row of the atlas."""
SHAPES = np.array([name for name, count in KINDS.items() for _ in range(count)])
"""The kind of each row of the table of primitives."""


def features(
    world: ProceduralWorld,
    cameras: Cameras,
    gains: Float[np.ndarray, " v"] | None = None,
) -> frozenset[str]:
    """Those of FEATURES that a capture shows; `gains` of its photos, if not all 1."""
    seen = shares(world, cameras)
    found = {name for name, least in LEAST_SHARE.items() if seen[name] >= least}
    if gains is not None and np.ptp(np.log2(gains)) >= LEAST_STOPS:
        found.add("changing_exposure")
    return frozenset(found)


def shares(world: ProceduralWorld, cameras: Cameras) -> dict[str, float]:
    """The share of a capture's pixels that see each feature of geometry or matter."""
    few = np.linspace(0, len(cameras.intrinsics) - 1, VIEWS).round().astype(int)
    seen = np.asarray(rows(world, resized(cameras[few], width=SIZE, height=SIZE)))
    pixels = np.bincount(seen[seen >= 0], minlength=len(SHAPES)) / seen.size
    return {
        name: float(pixels[having].sum())
        for name, having in _having(world.matter.solids).items()
    }


def _having(solids: Solids) -> dict[str, Bool[np.ndarray, " p"]]:
    """Which primitives have each feature."""
    _, middle, long = np.sort(np.asarray(solids.radii, float), axis=-1).T
    texture = TEXTURES[np.asarray(solids.textures)]
    open_air = bool(np.any(np.asarray(solids.centers)[SHAPES == "dome", 2] > -1))
    large = (SHAPES == "card") & (middle > 1)
    upright = np.abs(np.asarray(solids.local_from_world)[:, 2, 2]) < 0.5
    body = np.isin(SHAPES, ("box", "ball", "cylinder"))
    return {
        "textured_room": large & (texture != "plaster") & (not open_air),
        "outdoor_ground": large & ~upright & open_air,
        "objects": body,
        "thin_structures": body & (middle < 0.025) & (long > 8 * middle),
        "foliage": (SHAPES == "disc") & (texture == "foliage"),
        "specular": np.asarray(solids.gloss) >= 0.25,
    }
