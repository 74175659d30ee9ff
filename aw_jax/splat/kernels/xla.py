"""Tile compositing in plain XLA: static shapes, linear memory, any platform.

Each view is cut into tiles of 16 x 16 pixels. A *slot* is one (tile, Gaussian) pair.

1. Gaussians are ranked by depth; slots are numbered in that order, so a window of
   `capacity` consecutive slots is one layer of the scene. A layer is sorted by
   (tile, rank) and composited onto what lies in front of it. The slots of a scene are
   worked off window by window: **nothing is ever dropped, whatever the capacity**;
   a small one costs time, a large one memory.
2. Within a layer, tiles of like length go together, CHUNK slots at a time, until their
   lists end or no pixel lets light through.

A pixel p sees, front to back, with d = mean - p and T_0 = 1,

    sigma_i = (A dx^2 + C dy^2) / 2 + B dx dy
    alpha_i = min(max_alpha, o_i exp(-sigma_i)),  0 if sigma_i < 0 or alpha_i < 1/255
    T_i     = T_{i-1} (1 - alpha_i)               stop before T_i <= 1e-4
    F       = sum_i w_i f_i,   w_i = alpha_i T_{i-1}

and the gradients follow in the same order, without dividing by T: with g = dL/dF,
q_i = f_i . g, S_i = sum_{j<=i} w_j q_j and total = F . g + T_n dL/dT_n,

    dL/dsigma_i = alpha_i (total - S_i) / (1 - alpha_i) - w_i q_i    (0 where clamped)
    dL/df_i     = sum_p w_i g

from which six moments of dL/dsigma over the tile's pixels give mean, conic and opacity.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Bool, Float, Int

TILE = 16
GROUP = 64
"""Tiles composited together."""
CHUNK = 16
"""Slots of a tile composited together."""
ALPHA_MIN = 1 / 255
T_MIN = 1e-4
HIGHEST = jax.lax.Precision.HIGHEST
FULL = 2**31 - 1


class Scene(NamedTuple):
    """What compositing reads of the Gaussians, views and Gaussians flattened."""

    rows: Float[Array, "vg r"]
    """mean x, y, conic A, B, C, opacity, features; depth order within a view."""
    first_tile: Int[Array, "v g 2"]
    """Column and row of the first tile touched, in depth order."""
    tiles_wide: Int[Array, "v g"]
    ends: Int[Array, "v g"]
    """Running count of slots, in depth order."""
    order: Int[Array, "v g"]
    """Index of the Gaussian of each rank."""


class Layer(NamedTuple):
    """One window of slots, sorted by tile, then depth."""

    row: Int[Array, " s"]
    """Row of `Scene.rows`, all views' windows one after the other."""
    start: Int[Array, " t"]
    stop: Int[Array, " t"]
    """Each tile's slots are [start, stop); tiles are numbered across views."""


class Grid(NamedTuple):
    """The tiling of `views` images."""

    views: int
    width: int
    height: int

    @property
    def columns(self) -> int:
        return -(-self.width // TILE)

    @property
    def tiles(self) -> int:
        return self.columns * -(-self.height // TILE)


def default_capacity(gaussians: int, width: int, height: int) -> int:
    """Slots per pass that most scenes fit in one pass."""
    tiles = Grid(1, width, height).tiles
    return max(1, min(gaussians * tiles, 8 * gaussians + 64 * tiles))


class Scan(NamedTuple):
    """What a sweep carries per tile (t, pixels of the tile)."""

    running: Float[Array, "t p"]
    """Transmittance behind all slots so far; 0 once light is used up."""
    kept: Float[Array, "t p"]
    """Transmittance behind the last slot that was blended."""
    total: Float[Array, "t c p"]
    """Forward: blended features so far. Backward: S in its first channel."""


@functools.partial(
    jax.jit, static_argnames=("width", "height", "max_alpha", "capacity")
)
def forward(
    means2d: Float[Array, "v g 2"],
    conics: Float[Array, "v g 3"],
    opacities: Float[Array, "v g"],
    features: Float[Array, "v g c"],
    depths: Float[Array, "v g"],
    radii: Float[Array, "v g 2"],
    *,
    width: int,
    height: int,
    max_alpha: float,
    capacity: int | None = None,
) -> tuple[
    Float[Array, "v h w c"],
    Float[Array, "v h w"],
    Int[Array, " v"],
    Bool[Array, " v"],
]:
    """Blended features, remaining transmittance, slot counts and overflow per view.

    Overflow means more than 2^31 slots in one view: the farthest are then missing.
    """
    views, gaussians, channels = features.shape
    grid = Grid(views, width, height)
    capacity = capacity or default_capacity(gaussians, width, height)
    scene, overflow = _scene(means2d, conics, opacities, features, depths, radii, grid)
    inside = _to_tiles(jnp.ones((views, height, width, 1), features.dtype), grid)[:, 0]
    blank = jnp.zeros((*inside.shape[:1], channels, inside.shape[1]), inside.dtype)
    state = Scan(running=inside, kept=inside, total=blank)

    def step(state: Scan, slots: Slots) -> tuple[Scan, None]:
        blend = _blend(state, slots, max_alpha)
        seen = jnp.einsum(
            "tkc,tkp->tcp", slots.features, blend.weight, precision=HIGHEST
        )
        return Scan(blend.running, blend.kept, state.total + seen), None

    state, _ = _sweep(scene, grid, capacity, state, step, None)
    return (
        _from_tiles(state.total, grid),
        _from_tiles(state.kept[:, None], grid)[..., 0],
        scene.ends[:, -1],
        overflow,
    )


@functools.partial(
    jax.jit, static_argnames=("width", "height", "max_alpha", "capacity")
)
def backward(
    means2d: Float[Array, "v g 2"],
    conics: Float[Array, "v g 3"],
    opacities: Float[Array, "v g"],
    features: Float[Array, "v g c"],
    depths: Float[Array, "v g"],
    radii: Float[Array, "v g 2"],
    features_out: Float[Array, "v h w c"],
    transmittance: Float[Array, "v h w"],
    d_features_out: Float[Array, "v h w c"],
    d_transmittance: Float[Array, "v h w"],
    *,
    width: int,
    height: int,
    max_alpha: float,
    capacity: int | None = None,
) -> tuple[
    Float[Array, "v g 2"],
    Float[Array, "v g 3"],
    Float[Array, "v g"],
    Float[Array, "v g c"],
]:
    """Cotangents of means2d, conics, opacities and features."""
    views, gaussians, _ = features.shape
    grid = Grid(views, width, height)
    capacity = capacity or default_capacity(gaussians, width, height)
    scene, _ = _scene(means2d, conics, opacities, features, depths, radii, grid)
    inside = _to_tiles(jnp.ones((views, height, width, 1), features.dtype), grid)[:, 0]
    cotangent = _to_tiles(d_features_out, grid)
    total = jnp.sum(features_out * d_features_out, axis=-1)
    total = _to_tiles((total + transmittance * d_transmittance)[..., None], grid)
    state = (Scan(inside, inside, total), cotangent)

    def step(state: tuple[Scan, Array], slots: Slots) -> tuple[tuple, Array]:
        scan, cotangent = state
        blend = _blend(scan, slots, max_alpha)
        seen = jnp.einsum("tkc,tcp->tkp", slots.features, cotangent, precision=HIGHEST)
        gained = blend.weight * seen
        behind = scan.total - jnp.cumsum(gained, axis=1)
        d_sigma = blend.alpha * behind / (1 - blend.alpha) - gained
        moves = (blend.weight > 0) & ~blend.clamped
        d_sigma = jnp.where(moves, d_sigma, 0)
        d_features = jnp.einsum(
            "tkp,tcp->tkc", blend.weight, cotangent, precision=HIGHEST
        )
        d_rows = jnp.concatenate([_d_shape(d_sigma, slots), d_features], axis=-1)
        scan = Scan(blend.running, blend.kept, behind[:, -1:])
        return (scan, cotangent), d_rows

    _, d_rows = _sweep(scene, grid, capacity, state, step, jnp.zeros_like(scene.rows))
    d_rows = d_rows.reshape(views, gaussians, -1)
    view = jnp.arange(views)[:, None]
    d_rows = jnp.zeros_like(d_rows).at[view, scene.order].set(d_rows)
    return d_rows[..., :2], d_rows[..., 2:5], d_rows[..., 5], d_rows[..., 6:]


class Slots(NamedTuple):
    """CHUNK slots of each of GROUP tiles, in depth order; means relative to the tile."""

    mean: Float[Array, "t k 2"]
    conic: Float[Array, "t k 3"]
    opacity: Float[Array, "t k"]
    """0 past the end of the tile's list."""
    features: Float[Array, "t k c"]


class Blend(NamedTuple):
    """What slots do to the pixels of their tile."""

    alpha: Float[Array, "t k p"]
    clamped: Bool[Array, "t k p"]
    weight: Float[Array, "t k p"]
    running: Float[Array, "t p"]
    kept: Float[Array, "t p"]


def _blend(state: Scan, slots: Slots, max_alpha: float) -> Blend:
    raw = slots.opacity[..., None] * jnp.exp(-_sigma(slots))
    raw = jnp.where(raw <= slots.opacity[..., None], raw, 0)  # sigma < 0
    alpha = jnp.where(raw >= ALPHA_MIN, jnp.minimum(raw, max_alpha), 0)
    passed = state.running[:, None] * jnp.cumprod(1 - alpha, axis=1)
    before = jnp.concatenate([state.running[:, None], passed[:, :-1]], axis=1)
    lit = passed > T_MIN
    running = passed[:, -1]
    return Blend(
        alpha=alpha,
        clamped=raw > max_alpha,
        weight=jnp.where(lit, alpha * before, 0),
        running=jnp.where(running > T_MIN, running, 0),
        kept=jnp.minimum(state.kept, jnp.min(jnp.where(lit, passed, 1), axis=1)),
    )


def _sigma(slots: Slots) -> Float[Array, "t k p"]:
    """The exponent at every pixel of the tile, split by columns and rows."""
    a, b, c = slots.conic[..., 0], slots.conic[..., 1], slots.conic[..., 2]
    side = _centers(TILE, slots.mean.dtype)
    dx = slots.mean[..., :1] - side
    dy = slots.mean[..., 1:] - side
    along_x = 0.5 * a[..., None] * dx * dx
    along_y = 0.5 * c[..., None] * dy * dy
    mixed = b[..., None] * dx
    sigma = along_x[..., None, :] + along_y[..., None]
    sigma = sigma + mixed[..., None, :] * dy[..., None]
    return sigma.reshape(*sigma.shape[:-2], TILE * TILE)


def _d_shape(d_sigma: Float[Array, "t k p"], slots: Slots) -> Float[Array, "t k 6"]:
    """Cotangents of mean, conic and opacity from six moments of dL/dsigma."""
    side = _centers(TILE, d_sigma.dtype)
    v, u = (axis.reshape(-1) for axis in jnp.meshgrid(side, side, indexing="ij"))
    powers = jnp.stack([jnp.ones_like(u), u, v, u * u, u * v, v * v])
    moments = jnp.einsum("tkp,mp->mtk", d_sigma, powers, precision=HIGHEST)
    one, mu, mv, muu, muv, mvv = moments
    x, y = slots.mean[..., 0], slots.mean[..., 1]
    a, b, c = slots.conic[..., 0], slots.conic[..., 1], slots.conic[..., 2]
    sx, sy = x * one - mu, y * one - mv
    sxx = x * (sx - mu) + muu
    sxy = y * sx - x * mv + muv
    syy = y * (sy - mv) + mvv
    opacity = jnp.where(slots.opacity > 0, slots.opacity, 1)
    parts = [a * sx + b * sy, b * sx + c * sy, sxx / 2, sxy, syy / 2, -one / opacity]
    return jnp.stack(parts, axis=-1)


def _sweep(scene, grid, capacity, state, step, d_rows):
    """Runs `step` over all slots front to back; sums its row cotangents."""
    longest = jnp.max(scene.ends[:, -1])

    def unfinished(carry):
        window, state, _ = carry
        return (window * capacity < longest) & jnp.any(_running(state) > 0)

    def one_pass(carry):
        window, state, d_rows = carry
        layer = _layer(scene, grid, window * capacity, capacity)
        state, d_rows = _composite(scene, layer, grid, state, step, d_rows)
        return window + 1, state, d_rows

    start = (jnp.zeros((), jnp.int32), state, d_rows)
    _, state, d_rows = jax.lax.while_loop(unfinished, one_pass, start)
    return state, d_rows


def _running(state):
    return jax.tree.leaves(state)[0]


def _composite(scene, layer, grid, state, step, d_rows):
    """One layer onto what lies in front of it, GROUP tiles at a time."""
    tiles = grid.views * grid.tiles
    groups = -(-tiles // GROUP)
    by_length = jnp.argsort(layer.start - layer.stop)
    by_length = jnp.pad(by_length, (0, groups * GROUP - tiles), constant_values=tiles)
    corners = _tile_centers(grid, scene.rows.dtype)
    features = scene.rows.shape[-1] - 6

    def one_group(carry, tile):
        state, d_rows = carry
        start = layer.start.at[tile].get(mode="fill", fill_value=0)
        stop = layer.stop.at[tile].get(mode="fill", fill_value=0)
        center = corners.at[tile].get(mode="clip")
        part = jax.tree.map(lambda x: x.at[tile].get(mode="clip"), state)

        def unfinished(carry):
            offset, part, _ = carry
            alive = jnp.any(_running(part) > 0, axis=-1)
            return jnp.any(alive & (start + offset < stop))

        def one_chunk(carry):
            offset, part, d_rows = carry
            slot = start[:, None] + offset + jnp.arange(CHUNK)
            real = slot < stop[:, None]
            row = layer.row.at[slot].get(mode="clip")
            rows = scene.rows[row]
            slots = Slots(
                mean=rows[..., :2] - center[:, None],
                conic=rows[..., 2:5],
                opacity=jnp.where(real, rows[..., 5], 0),
                features=rows[..., 6:],
            )
            part, d_slots = step(part, slots)
            if d_slots is not None:
                row = jnp.where(real, row, scene.rows.shape[0])
                d_rows = d_rows.at[row].add(d_slots, mode="drop")
            return offset + CHUNK, part, d_rows

        first = (jnp.zeros((), jnp.int32), part, d_rows)
        _, part, d_rows = jax.lax.while_loop(unfinished, one_chunk, first)
        state = jax.tree.map(lambda x, y: x.at[tile].set(y, mode="drop"), state, part)
        return (state, d_rows), None

    del features
    (state, d_rows), _ = jax.lax.scan(
        one_group, (state, d_rows), by_length.reshape(groups, GROUP)
    )
    return state, d_rows


def _scene(means2d, conics, opacities, features, depths, radii, grid):
    drawn = jnp.all(radii > 0, axis=-1)
    order = jnp.argsort(jnp.where(drawn, depths, jnp.inf), axis=-1, stable=True)
    rows = jnp.concatenate([means2d, conics, opacities[..., None], features], axis=-1)
    low, high = _touched(means2d, radii, drawn, grid)
    first, low_high = low, high
    size = low_high - first
    counts = size[..., 0] * size[..., 1]
    ranked = functools.partial(jnp.take_along_axis, indices=order, axis=1)
    counts = ranked(counts)
    overflow = jnp.zeros(grid.views, bool)
    if counts.shape[1] * grid.tiles > FULL:
        fits = jnp.cumsum(counts.astype(jnp.float32), axis=1) < 0.99 * FULL
        overflow = jnp.any(~fits & (counts > 0), axis=1)
        counts = jnp.where(fits, counts, 0)
    rows = jnp.take_along_axis(rows, order[..., None], axis=1)
    scene = Scene(
        rows=rows.reshape(-1, rows.shape[-1]),
        first_tile=jnp.take_along_axis(first, order[..., None], axis=1),
        tiles_wide=ranked(jnp.maximum(size[..., 0], 1)),
        ends=jnp.cumsum(counts, axis=1, dtype=jnp.int32),
        order=order,
    )
    return scene, overflow


def _touched(means2d, radii, drawn, grid):
    """First tile and one past the last tile (column, row) within reach."""
    limits = jnp.asarray([grid.columns, grid.tiles // grid.columns], means2d.dtype)
    low = jnp.clip(jnp.floor((means2d - radii) / TILE), 0, limits)
    high = jnp.clip(jnp.ceil((means2d + radii) / TILE), low, limits)
    high = jnp.where(drawn[..., None], high, low)
    return low.astype(jnp.int32), high.astype(jnp.int32)


def _layer(scene, grid, base, capacity):
    """The window [base, base + capacity) of every view's slots, sorted by tile."""
    gaussians = scene.ends.shape[1]
    bits = (gaussians - 1).bit_length()
    slot = jnp.arange(capacity, dtype=jnp.int32)

    def one_view(first, wide, ends):
        begins = jnp.concatenate([jnp.zeros(1, jnp.int32), ends[:-1]])
        mark = jnp.where(begins < base, capacity, begins - base)
        marks = jnp.zeros(capacity, jnp.int32).at[mark].add(1, mode="drop")
        rank = jnp.sum(begins < base) + jnp.cumsum(marks) - 1
        local = base + slot - begins[rank]
        column = first[rank, 0] + local % wide[rank]
        line = first[rank, 1] + local // wide[rank]
        real = base + slot < ends[-1]
        tile = jnp.where(real, line * grid.columns + column, grid.tiles)
        if (grid.tiles + 1) << bits <= 2**32:
            key = tile.astype(jnp.uint32) << bits | rank.astype(jnp.uint32)
            key = jax.lax.sort(key)
            rank = (key & ((1 << bits) - 1)).astype(jnp.int32)
            tile = (key >> bits).astype(jnp.int32)
        else:
            tile, rank = jax.lax.sort((tile, rank), num_keys=1, is_stable=True)
        edges = jnp.searchsorted(tile, jnp.arange(grid.tiles + 1))
        return rank, edges[:-1].astype(jnp.int32), edges[1:].astype(jnp.int32)

    rank, start, stop = jax.vmap(one_view)(
        scene.first_tile, scene.tiles_wide, scene.ends
    )
    view = jnp.arange(grid.views, dtype=jnp.int32)[:, None]
    return Layer(
        row=(rank + view * gaussians).reshape(-1),
        start=(start + view * capacity).reshape(-1),
        stop=(stop + view * capacity).reshape(-1),
    )


def _centers(count, dtype):
    """Pixel centres of a tile relative to its middle."""
    return jnp.arange(count, dtype=dtype) - (count - 1) / 2


def _tile_centers(grid, dtype):
    tile = jnp.arange(grid.views * grid.tiles) % grid.tiles
    corner = jnp.stack([tile % grid.columns, tile // grid.columns], axis=-1)
    return (corner * TILE + TILE / 2).astype(dtype)


def _to_tiles(image, grid):
    """(v, h, w, c) to (tiles of all views, c, pixels of a tile), padded with zeros."""
    v, h, w, c = image.shape
    rows = grid.tiles // grid.columns
    pad = ((0, 0), (0, rows * TILE - h), (0, grid.columns * TILE - w), (0, 0))
    image = jnp.pad(image, pad).reshape(v, rows, TILE, grid.columns, TILE, c)
    return image.transpose(0, 1, 3, 5, 2, 4).reshape(-1, c, TILE * TILE)


def _from_tiles(tiles, grid):
    rows = grid.tiles // grid.columns
    c = tiles.shape[1]
    image = tiles.reshape(grid.views, rows, grid.columns, c, TILE, TILE)
    image = image.transpose(0, 1, 4, 2, 5, 3)
    image = image.reshape(grid.views, rows * TILE, grid.columns * TILE, c)
    return image[:, : grid.height, : grid.width]
