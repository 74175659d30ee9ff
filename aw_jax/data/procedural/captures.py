"""Camera paths through a world, as a person with a phone would walk them."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.data.procedural.layouts import Stage
from aw_jax.data.procedural.rendering import depths
from aw_jax.data.procedural.worlds import ProceduralWorld
from aw_jax.geometry.cameras import Cameras, resized
from aw_jax.geometry.rotations import AnyArray, look_at

UP = np.array([0.0, 0.0, 1.0])


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptureConfig:
    """How a world is filmed."""

    frames: int = 49
    width: int = 96
    height: int = 96
    field_of_view: tuple[float, float] = (50.0, 68.0)
    """Degrees along the short side; one value a capture, uniform."""
    sweep: tuple[float, float] | None = None
    """Radians around the focus, uniform; None: half to all of the stage's sector."""
    sway: float = 0.05
    """Hand movement, as a share of the distance to what is looked at."""
    clearance: float = 0.3
    """Metres: a path that comes closer to a surface is drawn again."""
    attempts: int = 6


def capture(
    world: ProceduralWorld, config: CaptureConfig, *, variant: int = 0
) -> Cameras:
    """A smooth path across the stage; `variant` draws another one of the same world.

    Of `attempts` paths takes the first that keeps its distance from every surface, or
    the one that comes least close.
    """
    best, gap = None, -1.0
    for attempt in range(config.attempts):
        rng = np.random.default_rng([world.seed, 7, variant, attempt])
        path = _path(world.stage, config, rng)
        clear = _clearance(world, path)
        if clear > gap:
            best, gap = path, clear
        if clear >= config.clearance:
            break
    if best is None:
        raise ValueError(f"attempts: expected at least 1, got {config.attempts}")
    return best


def _clearance(world: ProceduralWorld, path: Cameras) -> float:
    """The smallest depth any of a few frames sees, at low resolution."""
    few = path[np.linspace(0, len(path.intrinsics) - 1, 9).round().astype(int)]
    return float(depths(world, resized(few, width=24, height=24)).min())


def _path(stage: Stage, config: CaptureConfig, rng: np.random.Generator) -> Cameras:
    """An arc of varying radius and height, with the sway of a hand."""
    s = np.linspace(0, 1, config.frames)
    low, high = stage.azimuth
    whole = high - low
    sweep = min(rng.uniform(*(config.sweep or (0.5 * whole, whole))), 0.95 * whole)
    start = rng.uniform(low, high - sweep)
    azimuth = start + sweep * (s if rng.uniform() < 0.5 else 1 - s)
    radius = _drift(rng, s, stage.radius)
    height = _drift(rng, s, stage.height)
    eye = stage.focus * np.array([1, 1, 0]) + np.stack(
        [radius * np.cos(azimuth), radius * np.sin(azimuth), height], axis=-1
    )
    scale = config.sway * float(np.mean(stage.radius))
    eye = np.clip(eye + scale * _sway(rng, s), *stage.bounds)
    target = stage.focus + 3 * scale * _sway(rng, s)
    up = UP + 0.3 * config.sway * _sway(rng, s)
    fov = np.radians(rng.uniform(*config.field_of_view))
    return pinhole(look_at(eye, target, up), fov, config.width, config.height)


def pinhole(
    camera_from_world: Float[AnyArray, "v 4 4"], fov: float, width: int, height: int
) -> Cameras:
    """Cameras with a centred principal point; `fov` in radians along the short side."""
    focal = min(width, height) / 2 / np.tan(fov / 2)
    k = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    poses = jnp.asarray(camera_from_world, jnp.float32)
    intrinsics = jnp.broadcast_to(jnp.asarray(k, jnp.float32), (len(poses), 3, 3))
    return Cameras(
        camera_from_world=poses, intrinsics=intrinsics, width=width, height=height
    )


def _drift(
    rng: np.random.Generator, s: Float[np.ndarray, " v"], span: tuple[float, float]
) -> Float[np.ndarray, " v"]:
    """A slow change between two values of the span."""
    a, b = rng.uniform(*span, size=2)
    return a + (b - a) * s * s * (3 - 2 * s)


def _sway(
    rng: np.random.Generator, s: Float[np.ndarray, " v"]
) -> Float[np.ndarray, "v 3"]:
    """Three slow waves per axis, about unit size."""
    waves = np.arange(1, 4)[:, None, None]
    phase = rng.uniform(0, 2 * np.pi, size=(3, 1, 3))
    size = rng.normal(size=(3, 1, 3)) / waves
    return (size * np.sin(2 * np.pi * waves * 0.8 * s[:, None] + phase)).sum(axis=0) / 2
