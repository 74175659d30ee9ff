"""Compositing in plain XLA: static shapes, linear memory, any platform.

A pixel p sees, front to back, with d = mean - p and T_0 = 1,

    sigma_i = (A dx^2 + C dy^2) / 2 + B dx dy
    alpha_i = min(max_alpha, o_i exp(-sigma_i)),  0 if sigma_i < 0 or alpha_i < 1/255
    T_i     = T_{i-1} (1 - alpha_i)               the pixel ends before T_i <= 1e-4
    F       = sum_i w_i f_i,   w_i = alpha_i T_{i-1}

and the gradients follow in the same order, without dividing by T: with g = dL/dF,
q_i = f_i . g, S_i = sum_{j<=i} w_j q_j and total = F . g + T_n dL/dT_n,

    dL/dsigma_i = alpha_i (total - S_i) / (1 - alpha_i) - w_i q_i    (0 where clamped)
    dL/df_i     = sum_p w_i g

Six moments of dL/dsigma over the pixels of a tile give mean, conic and opacity.

Both passes sweep the scene in layers (`tiles.py`), GROUP tiles of like length at a
time, CHUNK slots of each at a time: evaluate, then blend one by one, until the lists
end or no pixel of the group lets light through.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Bool, Float, Int, PyTree
from aw_jax.splat.kernels import tiles
from aw_jax.splat.kernels.tiles import SHAPE, Grid, Layer, Scene, Sorted, Window

TILE = 8
GROUP = 128
CHUNK = 16
HIGHEST = jax.lax.Precision.HIGHEST


class Slots(NamedTuple):
    """CHUNK slots of each of GROUP tiles, nearest first."""

    mean: Float[Array, "t k 2"]
    """Relative to the middle of the tile."""
    conic: Float[Array, "t k 3"]
    opacity: Float[Array, "t k"]
    """0 past the end of the tile's list."""
    features: Float[Array, "t k c"]


State = tuple[Array, ...]
"""Per tile; the light that passes, (t, p), first: negative once the pixel has ended."""
Step = Callable[[State, Slots], tuple[State, PyTree]]
"""Blends slots onto a state; also returns their row cotangents, or None."""


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
    Sorted,
]:
    """Blended features, light that passes, slots, overflow, and what `backward` keeps.

    `capacity` is the number of slots sorted at once: any works, a scene with more takes
    more passes. Overflow: a view has some 2^31 slots, and its farthest are missing.
    """
    grid = Grid(features.shape[0], width, height, TILE)
    inputs = means2d, conics, opacities, features, depths, radii
    scene = tiles.arrange(*inputs, grid=grid)
    light = tiles.full_light(grid, features.dtype)
    seen = jnp.zeros((light.shape[0], features.shape[2], light.shape[1]), light.dtype)
    step = functools.partial(_blend, max_alpha=max_alpha)
    carry = (light, seen), None
    ((light, seen), _), first = _sweep(scene, carry, step, grid, capacity)
    light = tiles.join(jnp.abs(light)[:, None], grid)[..., 0]
    known = Sorted(scene.order, first)
    return tiles.join(seen, grid), light, scene.slots, scene.overflow, known


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
    known: Sorted | None = None,
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
    """Cotangents of means2d, conics, opacities and features.

    `known` is what `forward` sorted, of the same capacity; without it all is sorted.
    """
    grid = Grid(features.shape[0], width, height, TILE)
    inputs = means2d, conics, opacities, features, depths, radii
    order, first = known or (None, None)
    scene = tiles.arrange(*inputs, grid=grid, order=order)
    total = jnp.sum(features_out * d_features_out, axis=-1)
    total = (total + transmittance * d_transmittance)[..., None]
    light = tiles.full_light(grid, features.dtype)
    state = light, tiles.cut(total, grid)[:, 0], tiles.cut(d_features_out, grid)
    step = functools.partial(_blend_backward, max_alpha=max_alpha)
    carry = state, jnp.zeros_like(scene.rows)
    (_, d_rows), _ = _sweep(scene, carry, step, grid, capacity, first)
    d_rows = tiles.by_gaussian(scene, d_rows)
    return d_rows[..., :2], d_rows[..., 2:5], d_rows[..., 5], d_rows[..., SHAPE:]


def _blend(state: State, slots: Slots, *, max_alpha: float) -> tuple[State, None]:
    """Adds the slots' features, weighted, to what the pixels see."""
    alphas = _alphas(slots, max_alpha)

    def one(k: Int[Array, ""], state: State) -> State:
        light, seen = state
        light, weight = tiles.attenuate(light, _at(alphas, k))
        return light, seen + _at(slots.features, k)[..., None] * weight[:, None]

    return jax.lax.fori_loop(0, CHUNK, one, state, unroll=2), None


def _blend_backward(
    state: State, slots: Slots, *, max_alpha: float
) -> tuple[State, Float[Array, "t k r"]]:
    """Takes the slots out of what lies behind; their cotangents as scene rows."""
    light, behind, cotangent = state
    alphas = _alphas(slots, max_alpha)

    def one(k: Int[Array, ""], state: State) -> State:
        light, weights = state
        light, weight = tiles.attenuate(light, _at(alphas, k))
        return light, _put(weights, weight, k)

    start = light, jnp.zeros_like(alphas)
    light, weights = jax.lax.fori_loop(0, CHUNK, one, start, unroll=2)
    gained = weights * _seen(slots.features, cotangent)
    behinds = behind[:, None] - _running(gained)
    d_sigmas = alphas * behinds / (1 - alphas) - gained
    d_sigmas = jnp.where((weights > 0) & (alphas < max_alpha), d_sigmas, 0)
    d_features = jnp.einsum("tkp,tcp->tkc", weights, cotangent, precision=HIGHEST)
    d_rows = jnp.concatenate([_d_shapes(d_sigmas, slots), d_features], axis=-1)
    return (light, behinds[:, -1], cotangent), d_rows


def _seen(
    features: Float[Array, "t k c"], cotangent: Float[Array, "t c p"]
) -> Float[Array, "t k p"]:
    """Features times cotangent. So few that adding them beats a matrix product."""
    terms = (
        features[..., c, None] * cotangent[:, None, c] for c in range(features.shape[2])
    )
    return functools.reduce(jnp.add, terms)


def _running(x: Float[Array, "t k p"]) -> Float[Array, "t k p"]:
    """Sums of the slots so far. A matrix product; XLA's own `cumsum` is no faster."""
    upto = jnp.broadcast_to(np.tri(CHUNK, dtype=x.dtype), (x.shape[0], CHUNK, CHUNK))
    return jnp.einsum("tkj,tjp->tkp", upto, x, precision=HIGHEST)


def _alphas(slots: Slots, max_alpha: float) -> Float[Array, "t k p"]:
    """The alpha of every slot at every pixel of its tile."""
    a, b, c = jnp.split(slots.conic, 3, axis=-1)
    u, v = tiles.pixels(TILE, slots.mean.dtype)
    dx, dy = slots.mean[..., :1] - u, slots.mean[..., 1:] - v
    sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    raw = slots.opacity[..., None] * jnp.exp(-sigma)
    drawn = (raw >= tiles.ALPHA_MIN) & (sigma >= 0)
    return jnp.where(drawn, jnp.minimum(raw, max_alpha), 0)


def _d_shapes(d_sigmas: Float[Array, "t k p"], slots: Slots) -> Float[Array, "t k 6"]:
    """Cotangents of mean, conic and opacity from six moments of dL/dsigma."""
    u, v = tiles.pixels(TILE, d_sigmas.dtype)
    one, none = np.ones_like(u), np.zeros_like(u)
    powers = np.stack([one, u, v, u * u, u * v, v * v, none, none])  # faster than six
    moments = jnp.einsum("tkp,mp->tkm", d_sigmas, powers, precision=HIGHEST)
    one, mu, mv, muu, muv, mvv, *_ = jnp.moveaxis(moments, -1, 0)
    x, y = jnp.moveaxis(slots.mean, -1, 0)
    a, b, c = jnp.moveaxis(slots.conic, -1, 0)
    sx, sy = x * one - mu, y * one - mv
    sxx, sxy, syy = x * (sx - mu) + muu, y * sx - x * mv + muv, y * (sy - mv) + mvv
    opacity = jnp.where(slots.opacity > 0, slots.opacity, 1)
    parts = [a * sx + b * sy, b * sx + c * sy, sxx / 2, sxy, syy / 2, -one / opacity]
    return jnp.stack(parts, axis=-1)


def _at(x: Float[Array, "t k p"], k: Int[Array, ""]) -> Float[Array, "t p"]:
    return jax.lax.dynamic_index_in_dim(x, k, 1, keepdims=False)


def _put(
    x: Float[Array, "t k p"], value: Float[Array, "t p"], k: Int[Array, ""]
) -> Float[Array, "t k p"]:
    return jax.lax.dynamic_update_index_in_dim(x, value, k, 1)


def _sweep(
    scene: Scene,
    carry: tuple[State, PyTree],
    step: Step,
    grid: Grid,
    capacity: int | None,
    first: Window | None = None,
) -> tuple[tuple[State, PyTree], Window]:
    """Runs `step` over all slots front to back; sums the row cotangents.

    Takes and returns the first layer as `tiles.sweep` does.
    """

    def paint(layer: Layer, _: Array, carry: tuple[State, PyTree]) -> PyTree:
        return _sweep_layer(scene, layer, step, carry, grid)

    return tiles.sweep(scene, carry, paint, grid=grid, capacity=capacity, first=first)


def _sweep_layer(
    scene: Scene, layer: Layer, step: Step, carry: tuple[State, PyTree], grid: Grid
) -> tuple[State, PyTree]:
    """One layer onto what lies in front of it, GROUP tiles at a time, longest first."""
    count = layer.starts.size
    groups = -(-count // GROUP)
    tile = jnp.argsort(layer.starts - layer.stops)
    tile = jnp.pad(tile, (0, groups * GROUP - count), constant_values=count)
    middles = tiles.middles(grid, scene.rows.dtype)

    def one_group(
        swept: tuple[State, PyTree], tile: Int[Array, " t"]
    ) -> tuple[tuple[State, PyTree], None]:
        state, d_rows = swept
        start = layer.starts.at[tile].get(mode="fill", fill_value=0)
        stop = layer.stops.at[tile].get(mode="fill", fill_value=0)
        middle = jnp.asarray(middles).at[tile].get(mode="clip")
        part = jax.tree.map(lambda x: x.at[tile].get(mode="clip"), state)

        def unfinished(carry: tuple[Array, State, PyTree]) -> Bool[Array, ""]:
            start, part, _ = carry
            return jnp.any(jnp.any(part[0] > 0, axis=-1) & (start < stop))

        def one_chunk(
            carry: tuple[Array, State, PyTree],
        ) -> tuple[Array, State, PyTree]:
            start, part, d_rows = carry
            slots, rows = _fetch(scene, layer, start, stop, middle)
            part, d_slots = step(part, slots)
            if d_slots is not None:
                d_rows = d_rows.at[rows].add(d_slots, mode="drop")
            return start + CHUNK, part, d_rows

        carry = start, part, d_rows
        _, part, d_rows = jax.lax.while_loop(unfinished, one_chunk, carry)
        state = jax.tree.map(lambda x, y: x.at[tile].set(y, mode="drop"), state, part)
        return (state, d_rows), None

    swept, _ = jax.lax.scan(one_group, carry, tile.reshape(groups, GROUP))
    return swept


def _fetch(
    scene: Scene,
    layer: Layer,
    start: Int[Array, " t"],
    stop: Int[Array, " t"],
    middle: Float[Array, "t 2"],
) -> tuple[Slots, Int[Array, "t k"]]:
    """The next CHUNK slots of each tile, and their rows (out of range past the end)."""
    slot = start[:, None] + jnp.arange(CHUNK, dtype=start.dtype)
    real = slot < stop[:, None]
    row = layer.rows.at[slot].get(mode="clip")
    values = scene.rows[row]
    slots = Slots(
        mean=values[..., :2] - middle[:, None],
        conic=values[..., 2:5],
        opacity=jnp.where(real, values[..., 5], 0),
        features=jnp.where(real[..., None], values[..., SHAPE:], 0),
    )
    # Small arrays, kept as such: fused, they would be computed again at every pixel.
    return jax.lax.optimization_barrier(slots), jnp.where(
        real, row, scene.rows.shape[0]
    )
