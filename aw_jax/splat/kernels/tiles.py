"""Which Gaussians touch which tile, in depth order, with static shapes.

A *slot* is one (tile, Gaussian) pair. Slots are numbered in depth order, Gaussian by
Gaussian, so a window of consecutive slots is a *layer* of the scene: all of it lies
behind the windows before it. Compositing works on one layer of fixed size at a time,
sorted by (tile, depth); a scene with more slots takes more layers, and none is dropped.

Sorting is by single unsigned keys throughout, which XLA does far faster than pairs.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Bool, Float, Int, PyTree

ALPHA_MIN = 1 / 255
LIGHT_MIN = 1e-4
SLOTS_MAX = 2**31 - 2**26
"""Slots of one view that int32 can number, with a margin for one layer."""
SHAPE = 6
"""Columns of `Scene.rows` before the features."""


class Grid(NamedTuple):
    """The tiling of a batch of images; tiles are numbered across views."""

    views: int
    width: int
    height: int
    side: int
    """Pixels along the side of a tile."""

    @property
    def columns(self) -> int:
        """Tiles side by side."""
        return -(-self.width // self.side)

    @property
    def lines(self) -> int:
        """Tiles one below the other."""
        return -(-self.height // self.side)

    @property
    def tiles(self) -> int:
        """Tiles of one view."""
        return self.columns * self.lines


class Scene(NamedTuple):
    """The Gaussians of every view, nearest first."""

    rows: Float[Array, "vg r"]
    """Mean x, y, conic A, B, C, opacity, features; views one after the other."""
    boxes: Int[Array, "v g 4"]
    """First column, first line, columns of tiles touched; number of the first slot."""
    slots: Int[Array, " v"]
    """Slots of each view."""
    order: Int[Array, "v g"]
    """The Gaussian of each rank."""
    overflow: Bool[Array, " v"]
    """The slots could not be counted; the farthest Gaussians have none."""


class Window(NamedTuple):
    """A window of slots of every view, sorted by tile, then depth."""

    ranks: Int[Array, "v s"]
    """Of the Gaussian of each slot."""
    edges: Int[Array, "v e"]
    """Where the slots of each tile start; last, where those of the last tile stop."""


class Sorted(NamedTuple):
    """What forward has sorted and backward need not."""

    order: Int[Array, "v g"]
    """The Gaussian of each rank."""
    first: Window
    """The first layer."""


class Layer(NamedTuple):
    """A window, numbered through all views."""

    rows: Int[Array, " s"]
    """The row of the scene of each slot."""
    starts: Int[Array, " t"]
    stops: Int[Array, " t"]
    """The slots of a tile are starts to stops."""


def default_capacity(gaussians: int, grid: Grid) -> int:
    """Slots per layer such that most scenes are one layer.

    A second one costs as much as the first, however few slots it holds.
    """
    return min(gaussians * grid.tiles, max(4096, 10 * gaussians + 20 * grid.tiles))


def arrange(
    means2d: Float[Array, "v g 2"],
    conics: Float[Array, "v g 3"],
    opacities: Float[Array, "v g"],
    features: Float[Array, "v g c"],
    depths: Float[Array, "v g"],
    radii: Float[Array, "v g 2"],
    *,
    grid: Grid,
    order: Int[Array, "v g"] | None = None,
) -> Scene:
    """Sorts the Gaussians of each view by depth and numbers their slots.

    `order` may be that of an earlier scene of the same Gaussians.
    """
    drawn = jnp.all(radii > 0, axis=-1)
    if order is None:
        order = jax.vmap(_ranked)(jnp.where(drawn, depths, jnp.inf))
    first, last = _touched(means2d, jnp.where(drawn[..., None], radii, 0), grid)
    size = jnp.where(drawn[..., None], last - first, 0)
    boxes = jnp.concatenate([first, size], axis=-1)
    boxes = jnp.take_along_axis(boxes, order[..., None], axis=1)
    counts, overflow = _countable(boxes[..., 2] * boxes[..., 3], grid)
    ends = _running_sum(counts)
    boxes = boxes.at[..., 3].set(ends - counts)
    rows = [means2d, conics, opacities[..., None], features]
    rows = jnp.concatenate(rows, axis=-1)
    rows = jnp.take_along_axis(rows, order[..., None], axis=1)
    rows = rows.reshape(-1, rows.shape[-1])
    return Scene(rows, boxes, ends[:, -1], order, overflow)


def _ranked(depths: Float[Array, " g"]) -> Int[Array, " g"]:
    """`argsort(depths, stable=True)` by radix: a digit and the place make one key."""
    bits = depths.dtype.itemsize * 8
    unsigned = jnp.dtype(f"uint{bits}")
    keys = jax.lax.bitcast_convert_type(depths, unsigned)
    sign = unsigned.type(1 << (bits - 1))
    keys = jnp.where(keys >= sign, ~keys, keys | sign)
    low = max(1, (depths.size - 1).bit_length())
    place = jnp.arange(depths.size, dtype=jnp.uint32)
    order = place
    for shift in range(0, bits, 32 - low):
        digit = (keys[order] >> unsigned.type(shift)).astype(jnp.uint32)
        key = jax.lax.sort(digit << np.uint32(low) | place)
        order = order[key & np.uint32((1 << low) - 1)]
    return order.astype(jnp.int32)


def _touched(
    means2d: Float[Array, "v g 2"], radii: Float[Array, "v g 2"], grid: Grid
) -> tuple[Int[Array, "v g 2"], Int[Array, "v g 2"]]:
    """The first tile (column, line) within reach, and one past the last."""
    limits = jnp.asarray([grid.columns, grid.lines], means2d.dtype)
    first = jnp.clip(jnp.floor((means2d - radii) / grid.side), 0, limits)
    last = jnp.clip(jnp.ceil((means2d + radii) / grid.side), first, limits)
    return first.astype(jnp.int32), last.astype(jnp.int32)


def _countable(
    counts: Int[Array, "v g"], grid: Grid
) -> tuple[Int[Array, "v g"], Bool[Array, " v"]]:
    """The counts, zero from where their sum is too large, and whether it is."""
    if counts.shape[1] * grid.tiles <= SLOTS_MAX:
        return counts, jnp.zeros(grid.views, bool)
    fits = jnp.cumsum(counts.astype(jnp.float32), axis=1) < SLOTS_MAX
    return jnp.where(fits, counts, 0), jnp.any(~fits & (counts > 0), axis=1)


def sweep(
    scene: Scene,
    carry: PyTree,
    paint: Callable[[Layer, Int[Array, ""], PyTree], PyTree],
    *,
    grid: Grid,
    capacity: int | None,
    first: Window | None = None,
) -> tuple[PyTree, Window]:
    """Calls `carry = paint(layer, base, carry)` for all layers, the nearest first.

    Or until no light passes: the first leaf of `carry` is positive where some does.
    Also returns the first layer, which is not sorted if it is known.
    """
    gaussians = scene.order.shape[1]
    capacity = capacity or default_capacity(gaussians, grid)
    total, known = jnp.max(scene.slots), first

    def unfinished(carried: tuple[Array, Window, PyTree]) -> Bool[Array, ""]:
        base, _, carry = carried
        return (base < total) & jnp.any(jax.tree.leaves(carry)[0] > 0)

    def one_layer(
        carried: tuple[Array, Window, PyTree],
    ) -> tuple[Array, Window, PyTree]:
        base, first, carry = carried
        found = functools.partial(_window, scene, base, grid=grid, capacity=capacity)
        if known is None:
            window = found()
            first = jax.tree.map(functools.partial(jnp.where, base > 0), first, window)
        else:
            window = jax.lax.cond(base > 0, found, lambda: first)
        carry = paint(_through_views(window, gaussians), base, carry)
        return base + jnp.minimum(capacity, total - base), first, carry

    first = first or _no_window(grid, capacity)
    start = jnp.zeros((), jnp.int32), first, carry
    _, first, carry = jax.lax.while_loop(unfinished, one_layer, start)
    return carry, first


def by_gaussian(scene: Scene, rows: Float[Array, "vg r"]) -> Float[Array, "v g r"]:
    """The rows of the scene, or others like them, in the order of its inputs."""
    rows = rows.reshape(*scene.order.shape, -1)
    view = jnp.arange(scene.order.shape[0])[:, None]
    return jnp.zeros_like(rows).at[view, scene.order].set(rows)


def attenuate(
    light: Float[Array, "*t p"], alpha: Float[Array, "*t p"]
) -> tuple[Float[Array, "*t p"], Float[Array, "*t p"]]:
    """The light behind one splat and the splat's weight."""
    passed = light * (1 - alpha)
    lit = passed > LIGHT_MIN
    return jnp.where(lit, passed, -jnp.abs(light)), jnp.where(lit, alpha * light, 0)


def full_light(grid: Grid, dtype: np.dtype) -> Float[Array, "t p"]:
    """1 at the pixels of the images, 0 at the padding of their tiles."""
    ones = jnp.ones((grid.views, grid.height, grid.width, 1), dtype)
    return cut(ones, grid)[:, 0]


def _no_window(grid: Grid, capacity: int) -> Window:
    sizes = capacity, grid.tiles + 1
    return Window(*(jnp.zeros((grid.views, size), jnp.int32) for size in sizes))


def _window(scene: Scene, base: Int[Array, ""], *, grid: Grid, capacity: int) -> Window:
    """The slots [base, base + capacity) of every view, sorted by tile, then depth."""
    views, gaussians = scene.order.shape
    shapes = scene.rows[:, :SHAPE].reshape(views, gaussians, SHAPE)

    def one_view(
        boxes: Int[Array, "g 4"], shapes: Float[Array, "g 6"], total: Int[Array, ""]
    ) -> Window:
        slot = base + jnp.arange(capacity, dtype=jnp.int32)
        rank = _owner(boxes[:, 3], base, capacity)
        left, top, columns, first = jnp.moveaxis(boxes[rank], -1, 0)
        line = (slot - first) // jnp.maximum(columns, 1)
        column = left + (slot - first) - line * columns
        line = top + line
        real = (slot < total) & _reaches(shapes[rank], column, line, grid.side)
        tile = jnp.where(real, line * grid.columns + column, grid.tiles)
        tile, rank = _sorted(tile, rank, grid, gaussians)
        edges = jnp.searchsorted(tile, jnp.arange(grid.tiles + 1)).astype(jnp.int32)
        return Window(rank, edges)

    return jax.vmap(one_view)(scene.boxes, shapes, scene.slots)


def _through_views(window: Window, gaussians: int) -> Layer:
    views, capacity = window.ranks.shape
    view = jnp.arange(views, dtype=jnp.int32)[:, None]
    edges = window.edges + view * capacity
    return Layer(
        rows=(window.ranks + view * gaussians).reshape(-1),
        starts=edges[:, :-1].reshape(-1),
        stops=edges[:, 1:].reshape(-1),
    )


def _owner(
    first: Int[Array, " g"], base: Int[Array, ""], capacity: int
) -> Int[Array, " s"]:
    """The rank whose slots include base, base + 1, ...: the last with first <= slot."""
    earlier = first < base
    mark = jnp.where(earlier, capacity, first - base)
    marks = jnp.zeros(capacity, jnp.int32).at[mark].add(1, mode="drop")
    return jnp.sum(earlier, dtype=jnp.int32) + _running_sum(marks) - 1


def _running_sum(x: Int[Array, "*v n"]) -> Int[Array, "*v n"]:
    """`cumsum` along the last axis: of all blocks at once, then of what precedes each.

    XLA's own is unrolled, level by level: for a million numbers, 80 kernels to compile.
    """
    count = x.shape[-1]
    side = math.isqrt(max(count - 1, 0)) + 1
    blocks = jnp.pad(x, [*[(0, 0)] * (x.ndim - 1), (0, -count % side)])
    columns = jnp.moveaxis(blocks.reshape(*x.shape[:-1], -1, side), -1, 0)
    start = jnp.zeros_like(columns[0])
    total, sums = jax.lax.scan(lambda sofar, y: 2 * (sofar + y,), start, columns)
    place = jnp.arange(total.shape[-1])
    earlier = place < place[:, None]
    before = jnp.where(earlier, total[..., None, :], 0)
    sums = sums + jnp.sum(before, axis=-1, dtype=x.dtype)
    return jnp.moveaxis(sums, 0, -1).reshape(*x.shape[:-1], -1)[..., :count]


def _sorted(
    tile: Int[Array, " s"], rank: Int[Array, " s"], grid: Grid, gaussians: int
) -> tuple[Int[Array, " s"], Int[Array, " s"]]:
    """Both, by tile; slots come in depth order, so ranks stay ascending within one."""
    if (grid.tiles + 1) * gaussians > 2**32:
        tile, rank = jax.lax.sort((tile, rank), num_keys=1, is_stable=True)
        return tile, rank
    per_tile = np.uint32(gaussians)
    key = jax.lax.sort(tile.astype(jnp.uint32) * per_tile + rank.astype(jnp.uint32))
    return (key // per_tile).astype(jnp.int32), (key % per_tile).astype(jnp.int32)


def _reaches(
    shapes: Float[Array, "s 6"],
    column: Int[Array, " s"],
    line: Int[Array, " s"],
    side: int,
) -> Bool[Array, " s"]:
    """Whether alpha comes up to 1/255 at any point between a tile's pixel centres.

    sigma is convex and least at the mean, so over a box without the mean it is least on
    an edge that faces it. The 0.1 % is for rounding.
    """
    x, y, a, b, c, opacity = jnp.moveaxis(shapes, -1, 0)
    left, top = column * side + 0.5 - x, line * side + 0.5 - y
    right, bottom = left + side - 1, top + side - 1
    near_x, near_y = jnp.clip(0, left, right), jnp.clip(0, top, bottom)
    facing_x = _sigma(a, b, c, near_x, jnp.clip(-b * near_x / c, top, bottom))
    facing_y = _sigma(a, b, c, jnp.clip(-b * near_y / a, left, right), near_y)
    least = jnp.minimum(facing_x, facing_y)
    return opacity * jnp.exp(-0.999 * least) >= 0.999 * ALPHA_MIN


def _sigma(a: Array, b: Array, c: Array, dx: Array, dy: Array) -> Array:
    return 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy


def pixels(side: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of each pixel of a tile, relative to the tile's middle.

    Literals: arithmetic on indices would be fused into every use, pixel by pixel.
    """
    line = np.arange(side, dtype=dtype) - (side - 1) / 2
    return np.tile(line, side).astype(dtype), np.repeat(line, side).astype(dtype)


def middles(grid: Grid, dtype: np.dtype) -> np.ndarray:
    """The middle (x, y) of every tile of every view, in pixels."""
    tile = np.arange(grid.views * grid.tiles) % grid.tiles
    corner = np.stack([tile % grid.columns, tile // grid.columns], axis=-1)
    return (corner * grid.side + grid.side / 2).astype(dtype)


def cut(images: Float[Array, "v h w c"], grid: Grid) -> Float[Array, "t c p"]:
    """Images as tiles, padded with zeros."""
    v, h, w, c = images.shape
    below, beside = grid.lines * grid.side - h, grid.columns * grid.side - w
    images = jnp.pad(images, ((0, 0), (0, below), (0, beside), (0, 0)))
    images = images.reshape(v, grid.lines, grid.side, grid.columns, grid.side, c)
    return images.transpose(0, 1, 3, 5, 2, 4).reshape(-1, c, grid.side**2)


def join(tiles: Float[Array, "t c p"], grid: Grid) -> Float[Array, "v h w c"]:
    """Tiles as images again."""
    c = tiles.shape[1]
    side = grid.side
    images = tiles.reshape(grid.views, grid.lines, grid.columns, c, side, side)
    images = images.transpose(0, 1, 4, 2, 5, 3)
    images = images.reshape(grid.views, grid.lines * side, grid.columns * side, c)
    return images[:, : grid.height, : grid.width]
