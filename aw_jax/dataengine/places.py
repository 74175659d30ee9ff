"""An opened scene: what is taken of it, whether it is a world or a capture."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, Key
from aw_jax.core.keys import named
from aw_jax.data.procedural.features import features
from aw_jax.data.procedural.rendering import render as trace
from aw_jax.data.procedural.worlds import VERSION, ProceduralWorld, scene
from aw_jax.dataengine.captured import photo_capture, sparse_photos
from aw_jax.dataengine.dense_fit import DenseCapture, dense_capture, dense_fit, fidelity
from aw_jax.dataengine.simulation_config import SimulationConfig
from aw_jax.dataengine.sources import ProceduralScene, SceneSource
from aw_jax.dataengine.sparse_fit import SparseCapture, sparse_capture
from aw_jax.dataengine.stages import Stages
from aw_jax.geometry.cameras import Cameras
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.rasterize import render


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A scene and what clips' notes say of it."""

    number: int
    notes: dict[str, Any]
    world: ProceduralWorld | None = None
    capture: DenseCapture | None = None
    """Of a place that is no world."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dense:
    """The dense fit of a place."""

    splat: Splat
    views: Cameras
    psnr: float
    """Against its photos, in dB."""


def open_place(source: SceneSource, config: SimulationConfig) -> Place:
    """Builds the world, or reads the capture.

    Raises:
        UserError: what is there cannot be read.
    """
    if isinstance(source, ProceduralScene):
        world = scene(source.seed)
        notes = {"scene": source.seed, "world": world.kind, "procedural": VERSION}
        return Place(number=source.number, notes=notes, world=world)
    size = (config.width, config.height)
    found = photo_capture(source.path, size=size, config=config.dense)
    notes = {"scene": source.path, "number": source.number, "world": "capture"}
    return Place(number=source.number, notes=notes, capture=found)


def featured(
    place: Place, walk: Cameras, gains: Float[Array, " v"] | None = None
) -> Place:
    """Notes which features a walk through a world shows; of a capture, none is known.

    `gains` are those of its photos, if not all 1.
    """
    if place.world is None:
        return place
    known = None if gains is None else np.asarray(gains, float)
    found = sorted(features(place.world, walk, known))
    return dataclasses.replace(place, notes=place.notes | {"features": found})


def sparse(
    place: Place, rng: np.random.Generator, config: SimulationConfig
) -> SparseCapture:
    """What a sparse fit of the place is given."""
    if place.world is None:
        assert place.capture is not None
        return sparse_photos(
            place.capture, rng, frames=config.frames, config=config.sparse
        )
    return sparse_capture(
        place.world,
        rng,
        frames=config.frames,
        size=(config.width, config.height),
        config=config.sparse,
    )


def densely(
    place: Place,
    seen: SparseCapture | None,
    config: SimulationConfig,
    *,
    key: Key[Array, ""],
    stages: Stages,
) -> Dense:
    """The dense fit of the place; of a world along the walk of the sparse one, if any.

    Raises:
        FitDiverged: the fit left the finite numbers.
    """
    found = place.capture
    if place.world is not None:
        with stages("truth"):
            found = dense_capture(
                place.world,
                np.random.default_rng([place.number, 11]),
                size=(config.width, config.height),
                config=config.dense,
                walk=None if seen is None else seen.walk,
            )
    assert found is not None
    with stages("fit"):
        splat = dense_fit(
            found.photos,
            found.cameras,
            found.points,
            found.colors,
            config=config.dense,
            key=named(key, "dense"),
            weights=found.weights,
        )
        jax.block_until_ready(splat)
    with stages("render"):
        psnr = fidelity(splat, found.photos, found.cameras, weights=found.weights)
    return Dense(splat=splat, views=found.cameras, psnr=psnr)


def truth(
    place: Place, dense: Dense | None, cameras: Cameras, config: SimulationConfig
) -> tuple[Float[Array, "f h w 3"], Float[Array, "f h w"]]:
    """What is clean along a course, and its depth."""
    if config.clean == "scene":
        assert place.world is not None
        return trace(place.world, cameras)
    assert dense is not None
    color, _, depth = look(dense.splat, cameras)
    return color, depth


@jax.jit
def look(
    splat: Splat, cameras: Cameras
) -> tuple[Float[Array, "f h w 3"], Float[Array, "f h w"], Float[Array, "f h w"]]:
    """Colors in [0, 1], alpha and depth along a path."""
    seen = render(splat, cameras)
    return jnp.clip(seen.color, 0, 1), seen.alpha, seen.depth
