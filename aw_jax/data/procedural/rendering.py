"""Exact light and depth of a procedural world: 2x2 rays a pixel, tile by tile."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Int
from aw_jax.data.procedural.shading import dot, light_at, surface_at
from aw_jax.data.procedural.tracing import (
    FAR,
    Bundle,
    Vector,
    cone_touches,
    hidden,
    nearest,
    tube_touches,
)
from aw_jax.data.procedural.worlds import Matter, ProceduralWorld
from aw_jax.geometry.cameras import Cameras, centers

TILE = 24
"""Pixels per side of a tile, about."""
SAMPLES = ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))
"""Offsets of a pixel's rays from its centre; each aims at its own spot of the lamp."""


def render(
    world: ProceduralWorld, cameras: Cameras
) -> tuple[Float[Array, "v h w 3"], Float[Array, "v h w"]]:
    """Images in [0, 1] and z-depth (world metres, at pixel centres) of each camera."""
    return photograph(world, cameras), depths(world, cameras)


def photograph(world: ProceduralWorld, cameras: Cameras) -> Float[Array, "v h w 3"]:
    """Antialiased images with display values in [0, 1], all of one exposure."""
    return develop(radiance(world, cameras))


def radiance(world: ProceduralWorld, cameras: Cameras) -> Float[Array, "v h w 3"]:
    """Antialiased linear light; 1 is white at an exposure of one."""
    return _each(_radiance, world, cameras)


@jax.jit
def develop(
    light: Float[Array, "v h w 3"], gains: Float[Array, " v"] | float = 1.0
) -> Float[Array, "v h w 3"]:
    """Display values in [0, 1] (gamma 2) of linear light times each view's gain."""
    gains = jnp.asarray(gains).reshape(-1, 1, 1, 1)
    return jnp.sqrt(jnp.clip(light * gains, 0, 1))


def depths(world: ProceduralWorld, cameras: Cameras) -> Float[Array, "v h w"]:
    """z-depth of what each pixel's centre sees, in world metres; 1e9 for nothing."""
    return _each(_sight, world, cameras)[..., 0]


def rows(world: ProceduralWorld, cameras: Cameras) -> Int[Array, "v h w"]:
    """Row of the primitive each pixel's centre sees; -1 where there is none."""
    depth, row = jnp.moveaxis(_each(_sight, world, cameras), -1, 0)
    return jnp.where(depth < FAR, row, -1).astype(jnp.int32)


def _each(
    see: Callable[[Matter, Cameras], Float[Array, "h w *c"]],
    world: ProceduralWorld,
    cameras: Cameras,
) -> Float[Array, "v h w *c"]:
    """One view after the other: a program per image size serves any number of views."""
    views = range(len(cameras.intrinsics))
    return jnp.stack([see(world.matter, cameras[view]) for view in views])


@jax.jit
def _radiance(matter: Matter, camera: Cameras) -> Float[Array, "h w 3"]:
    return _by_tiles(functools.partial(_colors, matter), camera)


@jax.jit
def _sight(matter: Matter, camera: Cameras) -> Float[Array, "h w 2"]:
    """Depth and row of what pixels' centres see."""

    def look(
        camera: Cameras, origin: Float[Array, "3"], pixels: Float[Array, "2 y x"]
    ) -> Float[Array, "y x 2"]:
        rays = _rays(matter, camera, origin, pixels)
        found = jnp.stack(nearest(matter.solids, rays), axis=-1)
        return found.reshape(*pixels.shape[1:], 2)

    return _by_tiles(look, camera)


def _by_tiles(
    look: Callable[..., Float[Array, "y x c"]], camera: Cameras
) -> Float[Array, "h w c"]:
    """Applies `look` to every tile of a view and joins the tiles."""
    height, width = camera.height, camera.width
    rows, columns = max(1, round(height / TILE)), max(1, round(width / TILE))
    tall, wide = -(-height // rows), -(-width // columns)
    y, x = jnp.mgrid[0:tall, 0:wide] + 0.5
    origin = centers(camera)

    def tile(at: Array) -> Float[Array, "y x c"]:
        corner = jnp.stack([at % columns * wide, at // columns * tall])
        return look(camera, origin, jnp.stack([x, y]) + corner[:, None, None])

    tiles = jax.lax.map(tile, jnp.arange(rows * columns))
    grid = tiles.reshape(rows, columns, tall, wide, -1).swapaxes(1, 2)
    return grid.reshape(rows * tall, columns * wide, -1)[:height, :width]


def _rays(
    matter: Matter,
    camera: Cameras,
    origin: Float[Array, "3"],
    pixels: Float[Array, "2 ..."],
) -> Bundle:
    """Rays through pixel positions, of z-depth one per unit, so that t is z-depth."""
    k = camera.intrinsics
    px, py = pixels[0].reshape(-1), pixels[1].reshape(-1)
    y = (py - k[1, 2]) / k[1, 1]
    x = (px - k[0, 2] - k[0, 1] * y) / k[0, 0]
    r = camera.camera_from_world[:3, :3]
    direction = [r[0, i] * x + r[1, i] * y + r[2, i] for i in range(3)]
    inverse = jax.lax.rsqrt(dot(direction, direction))
    axis = jnp.stack([jnp.mean(d * inverse) for d in direction])
    axis = axis / jnp.linalg.norm(axis)
    cosine = jnp.min(dot(direction, axis) * inverse)
    near = cone_touches(matter.solids, origin, axis, cosine)
    start = (origin[0], origin[1], origin[2])
    return Bundle(origins=start, directions=tuple(direction), near=near)


def _colors(
    matter: Matter,
    camera: Cameras,
    origin: Float[Array, "3"],
    pixels: Float[Array, "2 y x"],
) -> Float[Array, "y x 3"]:
    """The linear light of one tile."""
    shifts = jnp.asarray(SAMPLES).T[:, :, None, None]
    rays = _rays(matter, camera, origin, pixels[:, None] + shifts)
    t, row = nearest(matter.solids, rays)
    point = tuple(o + t * d for o, d in zip(rays.origins, rays.directions, strict=True))
    inverse = jax.lax.rsqrt(dot(rays.directions, rays.directions))
    view = tuple(d * inverse for d in rays.directions)
    footprint = 0.75 * t / camera.intrinsics[0, 0]
    surface = surface_at(matter, row, point, view, footprint)
    to_light, lit = _lamp(matter, surface.point, surface.normal, pixels[0].size)
    color = jnp.stack(light_at(surface, matter.light, to_light, lit))
    color = jnp.where(t < FAR, color, 0).reshape(3, len(SAMPLES), *pixels.shape[1:])
    return jnp.moveaxis(color.mean(axis=1), 0, -1)


def _lamp(
    matter: Matter, point: Vector, normal: Vector, count: int
) -> tuple[Vector, Float[Array, " r"]]:
    """Unit directions to the lamp, and 0 where something stands in between.

    The four rays of a pixel aim at four spots of the lamp: a penumbra of five levels.
    """
    light = matter.light
    spots = [(1, 1, 0), (-1, 1, 0.5), (1, -1, -0.5), (-1, -1, 0)]
    shifts = jnp.repeat(jnp.asarray(spots, jnp.float32), count, axis=0).T * light.spread
    start = tuple(p + 2e-3 * n for p, n in zip(point, normal, strict=True))
    way = [light.position[i] + shifts[i] - start[i] for i in range(3)]
    distance = jnp.sqrt(dot(way, way))
    unit = tuple(w / distance for w in way)
    middle = jnp.stack([jnp.mean(p) for p in point])
    spread = jnp.sqrt(
        jnp.max(sum((p - m) ** 2 for p, m in zip(point, middle, strict=True)))
    )
    near = tube_touches(matter.solids, middle, light.position, spread)
    shadow = hidden(
        matter.solids, Bundle(origins=start, directions=unit, near=near), distance
    )
    return unit, 1.0 - shadow
