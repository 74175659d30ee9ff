"""Something that moves while a place is photographed: ghosts from optimisation.

One thing (a solid and what lies within its reach) stands elsewhere on 20 to 50 % of the
photos, shadow included. A fit to them shows it at both places, half transparent.
"""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Bool, Float
from aw_jax.core.pytrees import replace
from aw_jax.data.procedural.rendering import photograph
from aw_jax.data.procedural.solids import FIRST, KINDS
from aw_jax.data.procedural.worlds import ProceduralWorld
from aw_jax.geometry.cameras import Cameras

THINGS = ("box", "ball", "cylinder")
LARGEST = 0.6
"""Metres: half extents of what may move; walls and tables stay."""
REACH = 0.35
"""Metres, horizontally: what stands so close to the solid moves with it."""
WAY = (0.15, 0.5)
"""Metres, horizontally."""
PHOTOS = (0.2, 0.5)


def with_something_moved(
    world: ProceduralWorld,
    photos: Float[np.ndarray, "v h w 3"],
    cameras: Cameras,
    *,
    share: float,
) -> tuple[Float[np.ndarray, "v h w 3"], tuple[int, ...]]:
    """Photos of a place where, in a `share` of worlds, something moves, and which."""
    rng = np.random.default_rng([world.seed, 10])
    things = movable(world)
    if rng.uniform() >= share or not things.any():
        return photos, ()
    moved = displaced(world, things, rng)
    count = max(1, math.floor(rng.uniform(*PHOTOS) * len(photos)))
    views = np.sort(rng.choice(len(photos), count, replace=False))
    photos = photos.copy()
    photos[views] = np.asarray(photograph(moved, cameras[views]))
    return photos, tuple(views.tolist())


def movable(world: ProceduralWorld) -> Bool[np.ndarray, " p"]:
    """Solids that are things, small enough to be carried and near the focus."""
    solids, stage = world.matter.solids, world.stage
    kinds = np.zeros(len(solids.centers), bool)
    for kind in THINGS:
        kinds[FIRST[kind] : FIRST[kind] + KINDS[kind]] = True
    small = np.asarray(solids.radii).max(axis=-1) <= LARGEST
    gaps = np.linalg.norm(np.asarray(solids.centers) - stage.focus, axis=-1)
    return kinds & small & (gaps < stage.radius[0])


def displaced(
    world: ProceduralWorld, things: Bool[np.ndarray, " p"], rng: np.random.Generator
) -> ProceduralWorld:
    """The world with one of the things, and what is close to it, put elsewhere."""
    solids = world.matter.solids
    centers = np.asarray(solids.centers)
    chosen = centers[rng.choice(np.flatnonzero(things))]
    near = np.linalg.norm(centers[:, :2] - chosen[:2], axis=-1) <= REACH
    small = np.asarray(solids.radii).max(axis=-1) <= LARGEST
    angle, way = rng.uniform(0, 2 * np.pi), rng.uniform(*WAY)
    step = way * np.array([np.cos(angle), np.sin(angle), 0.0])
    put = np.where((near & small)[:, None], centers + step, centers)
    solids = replace(solids, centers=jnp.asarray(put, jnp.float32))
    return dataclasses.replace(world, matter=replace(world.matter, solids=solids))
