"""Pictures to hang and skies to stand under: dead leaves, landscapes, clouds.

The dead-leaves picture (shapes of power-law sizes dropped on one another) shares the
statistics of edges and scales of photographs, which a restorer has to learn.
"""

import numpy as np

from aw_jax.data.procedural.noise import (
    Color,
    Field,
    Image,
    blend,
    edge,
    grid,
    hsv,
    modulate,
    random_color,
    smooth_noise,
)


def dead_leaves(rng: np.random.Generator, size: int) -> Image:
    """Overlapping discs and polygons, their radii Pareto distributed, some striped."""
    hue = rng.uniform()
    image = random_color(rng) * np.ones((size, size, 3))
    for radius in np.sort(0.03 + 0.02 * rng.pareto(1.2, size=70))[::-1]:
        near = hsv(
            hue + rng.normal() * 0.1, rng.uniform(0.1, 0.8), rng.uniform(0.1, 1.0)
        )
        ink = near if rng.uniform() < 0.7 else random_color(rng, value=(0.1, 1.0))
        _drop(rng, image, min(float(radius), 0.4), ink)
    return modulate(image, smooth_noise(rng, size, slope=1.0), 0.05)


def landscape(rng: np.random.Generator, size: int) -> Image:
    """A painted view: sky, sun, three ridges, a meadow, a few trees."""
    u, v = grid(size)
    top, low = random_color(rng, value=(0.5, 0.9)), random_color(rng, value=(0.7, 1.0))
    image = blend(top, low, v * 2)
    x, y, r = rng.uniform(0.15, 0.85), rng.uniform(0.1, 0.3), rng.uniform(0.04, 0.1)
    sun = edge(np.hypot(u - x, v - y) - r, size)
    image = blend(image, np.array([1.0, 0.9, 0.6]), sun)
    for i in range(3):
        ridge = (
            0.35 + 0.17 * i + 0.05 * smooth_noise(rng, size, slope=1.8, high=9.0)[:1]
        )
        color = random_color(rng, saturation=(0.2, 0.6), value=(0.2, 0.7 - 0.1 * i))
        image = blend(image, color, edge(ridge - v, size))
    for _ in range(int(rng.integers(2, 8))):
        x, y = rng.uniform(0.05, 0.95), rng.uniform(0.6, 0.9)
        crown = edge(np.hypot(u - x, (v - y) * 0.7) - rng.uniform(0.03, 0.08), size)
        trunk = edge(
            np.maximum(np.abs(u - x) - 0.006, np.abs(v - y - 0.08) - 0.05), size
        )
        image = blend(image, np.array([0.25, 0.16, 0.1]), trunk)
        image = blend(
            image, hsv(rng.uniform(0.2, 0.4), 0.6, rng.uniform(0.2, 0.6)), crown
        )
    return modulate(image, smooth_noise(rng, size, slope=0.8, low=3.0), 0.06)


def framed(picture: Image, rng: np.random.Generator) -> Image:
    """The picture with a mount and a frame around it."""
    size = len(picture)
    u, v = grid(size)
    rim = np.maximum(np.abs(u - 0.5), np.abs(v - 0.5))
    mount = edge(rng.uniform(0.36, 0.43) - rim, size)
    image = blend(picture, random_color(rng, saturation=(0.0, 0.15)), mount)
    wood = random_color(rng, saturation=(0.2, 0.7), value=(0.1, 0.6))
    return blend(image, wood, edge(0.455 - rim, size))


def sky(rng: np.random.Generator, size: int) -> Image:
    """The sky above a meadow, in stereographic projection from straight below.

    The zenith is the centre of the square and the horizon its inscribed circle: a
    gradient, clouds, and the silhouettes of far hills.
    """
    u, v = grid(size)
    x, y = 2 * u - 1, 2 * v - 1
    r2 = x * x + y * y
    height = np.clip((1 - r2) / (1 + r2), 0, 1)
    hue = rng.choice([0.58, 0.6, 0.55, 0.08])
    zenith = hsv(hue, rng.uniform(0.35, 0.7), rng.uniform(0.6, 0.9))
    horizon = hsv(hue, rng.uniform(0.05, 0.25), rng.uniform(0.85, 1.0))
    image = blend(horizon, zenith, height**0.6)
    cover = smooth_noise(rng, size, slope=1.6, high=40.0)
    cloud = np.clip((cover - rng.uniform(-0.3, 1.0)) * 1.2, 0, 1)
    image = blend(image, np.full(3, rng.uniform(0.85, 1.0)), 0.85 * cloud)
    return _with_hills(rng, image, np.arctan2(y, x), height)


def _with_hills(
    rng: np.random.Generator, image: Image, azimuth: Field, height: Field
) -> Image:
    """Two ridges along the horizon, the nearer one lower and darker."""
    for level in (0.16, 0.08):
        ridge = np.full_like(azimuth, level)
        for k in range(1, 14):
            phase = rng.uniform(0, 2 * np.pi)
            ridge = ridge + 0.05 / k * rng.uniform() * np.cos(k * azimuth + phase)
        color = hsv(rng.uniform(0.2, 0.62), rng.uniform(0.1, 0.5), 0.25 + 2 * level)
        image = blend(image, color, edge((height - ridge) * 0.5, len(image)))
    return image


def _drop(rng: np.random.Generator, image: Image, radius: float, ink: Color) -> None:
    """Paints one random convex shape into the picture, wrapped around its rim."""
    size = len(image)
    reach = min(int(radius * size * 1.6) + 2, size // 2)
    line = np.arange(-reach, reach) / size
    x, y = np.meshgrid(line, line)
    shape = _convex(rng, x, y, radius, size)
    if rng.uniform() < 0.3:
        angle, pitch = rng.uniform(0, np.pi), rng.uniform(6, 24)
        line = x * np.cos(angle) + y * np.sin(angle)
        ink = blend(ink, ink * 0.5, 0.5 + 2 * np.sin(2 * np.pi * line * pitch))
    rows, columns = rng.integers(0, size, 2)[:, None] + np.arange(-reach, reach)
    at = np.ix_(rows % size, columns % size)
    image[at] = blend(image[at], ink, shape)


def _convex(
    rng: np.random.Generator, x: Field, y: Field, radius: float, size: int
) -> Field:
    """The mask of an ellipse, triangle, box or pentagon around the origin."""
    flat = rng.uniform(0.5, 1.0)
    sides = int(rng.choice([0, 3, 4, 5], p=[0.4, 0.2, 0.3, 0.1]))
    if sides == 0:
        return edge(np.hypot(x, y / flat) - radius, size)
    angle = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(sides) / sides
    walls = x[..., None] * np.cos(angle) + y[..., None] * np.sin(angle)
    return edge(walls.max(axis=-1) - radius * flat, size)
