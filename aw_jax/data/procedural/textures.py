"""Materials: plaster, wood, bricks, cloth, stone, grass, leaves, pages, books."""

from collections.abc import Callable

import numpy as np

from aw_jax.data.procedural.noise import (
    Field,
    Image,
    blend,
    edge,
    grid,
    hsv,
    modulate,
    per_cell,
    random_color,
    smooth_noise,
)

Painter = Callable[[np.random.Generator, int], Image]


def plaster(rng: np.random.Generator, size: int) -> Image:
    """A wall colour with faint stains and roller marks."""
    base = np.broadcast_to(
        random_color(rng, saturation=(0.05, 0.45), value=(0.6, 0.92)), (size, size, 3)
    )
    stains = smooth_noise(rng, size, slope=1.6, high=12.0)
    grain = smooth_noise(rng, size, slope=0.3, low=10.0, high=40.0)
    return modulate(modulate(base, stains, 0.05), grain, 0.03)


def wallpaper(rng: np.random.Generator, size: int) -> Image:
    """A small motif repeated on a coloured ground, with stripes now and then."""
    u, v = grid(size)
    ground = random_color(rng, saturation=(0.1, 0.5), value=(0.6, 0.95))
    ink = random_color(rng, saturation=(0.3, 0.8), value=(0.2, 0.8))
    repeats = int(rng.integers(3, 7))
    x = (u * repeats) % 1 - 0.5
    y = (v * repeats + 0.5 * (np.floor(u * repeats) % 2)) % 1 - 0.5
    petals = int(rng.integers(3, 7))
    reach = 0.28 + 0.1 * np.cos(petals * np.arctan2(y, x))
    image = blend(ground, ink, edge((np.hypot(x, y) - reach) / repeats, size))
    heart = edge((np.hypot(x, y) - 0.09) / repeats, size)
    image = blend(image, random_color(rng), heart)
    if rng.uniform() < 0.5:
        line = edge((np.abs(x) - 0.44) / -repeats, size)
        image = blend(image, ink * 0.8, line)
    return modulate(image, smooth_noise(rng, size, slope=1.2, high=20.0), 0.03)


def bricks(rng: np.random.Generator, size: int) -> Image:
    """Courses of bricks, each of its own shade, in mortar."""
    u, v = grid(size)
    rows, columns = int(rng.choice([6, 8, 10])), int(rng.choice([3, 4, 5]))
    row = np.floor(v * rows).astype(int)
    x = (u * columns + 0.5 * (row % 2)) % columns
    column = np.floor(x).astype(int)
    base = hsv(rng.uniform(-0.02, 0.1), rng.uniform(0.3, 0.7), rng.uniform(0.4, 0.8))
    shade = per_cell(rng, row * columns + column, 0.14)
    rough = smooth_noise(rng, size, slope=0.8, low=4.0)
    image = modulate(base * np.ones((size, size, 3)), shade + 0.08 * rough, 1.0)
    gap_x = np.minimum(x % 1, 1 - x % 1) / columns
    gap_y = np.minimum(v * rows % 1, 1 - v * rows % 1) / rows
    mortar = edge(np.minimum(gap_x, gap_y) - rng.uniform(0.006, 0.011), size)
    pale = np.full(3, rng.uniform(0.55, 0.8))
    return modulate(blend(image, pale, mortar), rough, 0.03)


def wood(rng: np.random.Generator, size: int) -> Image:
    """Planks with grain along v."""
    u, v = grid(size)
    planks = int(rng.integers(3, 8))
    plank = np.floor(u * planks).astype(int)
    joint = (v + rng.uniform(size=planks)[plank]) % 1
    cell = plank * 2 + (joint > 0.5)
    base = hsv(rng.uniform(0.04, 0.11), rng.uniform(0.35, 0.75), rng.uniform(0.3, 0.85))
    shade = per_cell(rng, cell, 0.13)
    grain = smooth_noise(rng, size, slope=0.8, low=3.0, stretch=9.0)
    rings = np.sin(6 * grain + 40 * (u * planks % 1) * rng.uniform(0.3, 1))
    image = modulate(base * np.ones((size, size, 3)), shade + 0.09 * grain, 1.0)
    image = modulate(image, rings, 0.05)
    seam = np.minimum(u * planks % 1, 1 - u * planks % 1) / planks
    seam = np.minimum(seam, np.minimum(joint % 0.5, 0.5 - joint % 0.5))
    return blend(image, base * 0.3, 0.8 * edge(seam - 0.003, size))


def tiles(rng: np.random.Generator, size: int) -> Image:
    """Square tiles in two colours, or one with a motif, with grout between them."""
    u, v = grid(size)
    n = int(rng.choice([2, 4, 6]))
    x, y = u * n % 1 - 0.5, v * n % 1 - 0.5
    parity = (np.floor(u * n) + np.floor(v * n)) % 2
    first = random_color(rng, saturation=(0.05, 0.4), value=(0.6, 0.95))
    second = random_color(rng, saturation=(0.1, 0.7), value=(0.15, 0.7))
    if rng.uniform() < 0.6:
        image = blend(first, second, parity)
    else:
        spike = np.abs(x) + np.abs(y) - rng.uniform(0.2, 0.45)
        image = blend(first, second, edge(spike / n, size))
    cell = (np.floor(u * n) * n + np.floor(v * n)).astype(int)
    image = modulate(image, per_cell(rng, cell, 1.0), 0.06)
    gap = (0.5 - np.maximum(np.abs(x), np.abs(y))) / n
    image = blend(image, np.full(3, 0.45), edge(gap - 0.006, size))
    return modulate(image, smooth_noise(rng, size, slope=1.4), 0.05)


def stripes(rng: np.random.Generator, size: int) -> Image:
    """Bands of three colours of random widths."""
    u, _ = grid(size)
    edges = np.sort(rng.uniform(size=int(rng.integers(4, 12))))
    index = np.searchsorted(edges, u) % len(edges)
    colors = np.stack([random_color(rng) for _ in range(3)])
    image = colors[rng.integers(0, 3, size=len(edges))][index]
    return modulate(image, smooth_noise(rng, size, slope=0.6, low=8.0), 0.06)


def plaid(rng: np.random.Generator, size: int) -> Image:
    """Cloth: two sets of crossing bands over a weave."""
    u, v = grid(size)
    ground = random_color(rng, saturation=(0.3, 0.8))
    image = np.broadcast_to(ground, (size, size, 3))
    for line in (u, v):
        for _ in range(3):
            n, phase, width = (
                int(rng.integers(1, 5)),
                rng.uniform(),
                rng.uniform(0.05, 0.3),
            )
            band = edge((np.abs((line * n + phase) % 1 - 0.5) - width / 2) / n, size)
            image = blend(image, random_color(rng), 0.5 * band)
    weave = np.sin(2 * np.pi * 32 * u) * np.sin(2 * np.pi * 32 * v)
    return modulate(image, weave, 0.06)


def cloth(rng: np.random.Generator, size: int) -> Image:
    """Plain fabric: one colour, folds and thread."""
    base = random_color(rng, saturation=(0.2, 0.85)) * np.ones((size, size, 3))
    folds = smooth_noise(rng, size, slope=2.0, high=8.0, stretch=0.5)
    thread = smooth_noise(rng, size, slope=0.0, low=16.0, high=48.0)
    return modulate(modulate(base, folds, 0.12), thread, 0.06)


def stone(rng: np.random.Generator, size: int) -> Image:
    """Marble or granite: veins where a warped field crosses zero, or speckle."""
    base = random_color(rng, saturation=(0.02, 0.25), value=(0.45, 0.9))
    clouds = smooth_noise(rng, size, slope=1.5)
    image = modulate(base * np.ones((size, size, 3)), clouds, 0.1)
    if rng.uniform() < 0.5:
        vein = np.exp(-((smooth_noise(rng, size, slope=1.7, high=32.0) / 0.08) ** 2))
        return blend(image, base * rng.uniform(0.2, 0.6), 0.7 * vein)
    speckle = smooth_noise(rng, size, slope=0.2, low=12.0, high=50.0)
    return modulate(image, np.where(np.abs(speckle) > 1, speckle, 0), 0.16)


def grass(rng: np.random.Generator, size: int) -> Image:
    """Meadow, earth or sand: fine blades over slow patches of a second colour."""
    hue = rng.choice([0.26, 0.22, 0.09, 0.11])
    first = hsv(hue + rng.normal() * 0.02, rng.uniform(0.35, 0.7), 0.55)
    second = hsv(hue + rng.normal() * 0.06, rng.uniform(0.2, 0.6), 0.42)
    patches = smooth_noise(rng, size, slope=1.4, high=16.0)
    image = blend(first, second, 0.5 + 0.6 * patches)
    return modulate(image, smooth_noise(rng, size, slope=0.3, low=6.0, high=60.0), 0.2)


def paving(rng: np.random.Generator, size: int) -> Image:
    """Irregular flagstones: the cells of random points, with dark joints."""
    count = int(rng.integers(14, 40))
    near, second, cell = _cells(rng, size, count)
    base = random_color(rng, saturation=(0.05, 0.3), value=(0.45, 0.8))
    image = modulate(base * np.ones((size, size, 3)), per_cell(rng, cell, 1.0), 0.13)
    image = modulate(image, smooth_noise(rng, size, slope=0.8, low=4.0), 0.08)
    return blend(image, base * 0.35, edge((second - near) / 2 - 0.007, size))


def foliage(rng: np.random.Generator, size: int) -> Image:
    """Leaves in cells of varied green, light towards their middles."""
    near, _, cell = _cells(rng, size, 70)
    hue = rng.choice([0.22, 0.28, 0.33, 0.1, 0.03], p=[0.3, 0.3, 0.2, 0.1, 0.1])
    base = hsv(hue, rng.uniform(0.45, 0.85), rng.uniform(0.45, 0.8))
    image = modulate(base * np.ones((size, size, 3)), per_cell(rng, cell, 1.0), 0.22)
    return modulate(image, 1 - near * 22, 0.35)


def page(rng: np.random.Generator, size: int) -> Image:
    """Lines of made-up glyphs, a title, sometimes a block of colour."""
    paper = random_color(rng, saturation=(0.0, 0.3), value=(0.8, 0.97))
    ink = random_color(rng, saturation=(0.0, 0.8), value=(0.05, 0.4))
    if rng.uniform() < 0.4:
        paper, ink = ink, paper
    mask = np.zeros((size, size))
    top = 0.06
    lines = int(rng.choice([4, 6, 9]))
    while top < 0.9:
        height = rng.uniform(0.6, 1.0) * 0.8 / lines * (1.8 if top < 0.1 else 1.0)
        _write_line(rng, mask, top, min(height, 0.94 - top))
        top += 1.35 * height
    image = blend(paper, ink, mask)
    return modulate(image, smooth_noise(rng, size, slope=1.5, high=16.0), 0.03)


def books(rng: np.random.Generator, size: int) -> Image:
    """Two shelves of spines: upright bands of colour with titles and gaps."""
    u, v = grid(size)
    image = np.full((size, size, 3), 0.12)
    for shelf in range(2):
        at = 0.0
        while at < 1:
            width = rng.uniform(0.03, 0.09)
            top = shelf * 0.5 + rng.uniform(0.03, 0.15)
            spine = _between(u, at, at + width - 0.004, size)
            spine = spine * _between(v, top, shelf * 0.5 + 0.46, size)
            image = blend(image, random_color(rng, value=(0.25, 0.9)), spine)
            label = top + rng.uniform(0.05, 0.1)
            strip = spine * _between(v, label, label + rng.uniform(0.03, 0.12), size)
            image = blend(image, random_color(rng), 0.8 * strip)
            at += width
        board = _between(v, shelf * 0.5 + 0.46, shelf * 0.5 + 0.5, size)
        image = blend(image, np.array([0.45, 0.3, 0.18]), board)
    return modulate(image, smooth_noise(rng, size, slope=1.0), 0.04)


def metal(rng: np.random.Generator, size: int) -> Image:
    """Brushed metal or glaze: nearly one colour, faint streaks along u."""
    base = random_color(rng, saturation=(0.0, 0.5), value=(0.35, 0.9))
    streaks = smooth_noise(rng, size, slope=0.4, low=4.0, stretch=0.12)
    return modulate(base * np.ones((size, size, 3)), streaks, 0.06)


def _cells(
    rng: np.random.Generator, size: int, count: int
) -> tuple[Field, Field, np.ndarray]:
    """Distances to the nearest and second of random points on the torus, and which."""
    points = rng.uniform(size=(count, 1, 1, 2)).astype(np.float32)
    u, v = (line.astype(np.float32) for line in grid(size))
    x, y = np.abs(u - points[..., 0]), np.abs(v - points[..., 1])
    square = np.minimum(x, 1 - x) ** 2 + np.minimum(y, 1 - y) ** 2
    cell = square.argmin(axis=0)
    near = np.take_along_axis(square, cell[None], axis=0)[0]
    np.put_along_axis(square, cell[None], np.inf, axis=0)
    return np.sqrt(near), np.sqrt(square.min(axis=0)), cell


def _between(line: Field, low: float, high: float, size: int) -> Field:
    """1 where low < line < high, with edges one texel wide."""
    return edge(np.abs(line - (low + high) / 2) - (high - low) / 2, size)


def _write_line(
    rng: np.random.Generator, mask: Field, top: float, height: float
) -> None:
    """Adds one line of glyphs, each three to six strokes on a 3 x 5 lattice."""
    size = len(mask)
    left, rows = 0.07, slice(int(top * size), max(int((top + height) * size), 1))
    while left < 0.88:
        glyph = np.zeros((5, 3))
        for _ in range(int(rng.integers(2, 5))):
            if rng.uniform() < 0.5:
                glyph[rng.integers(0, 5), :] = 1
            else:
                glyph[:, rng.integers(0, 3)] = 1
        width = height * 0.6
        block = mask[rows, int(left * size) : int((left + width) * size)]
        if block.size:
            i = np.arange(block.shape[0]) * 5 // block.shape[0]
            j = np.arange(block.shape[1]) * 3 // block.shape[1]
            block[:] = glyph[i][:, j]
        left += width * (2.2 if rng.uniform() < 0.2 else 1.3)
