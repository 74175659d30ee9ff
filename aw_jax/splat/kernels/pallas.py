"""Compositing on GPUs as Pallas kernels: one program per tile of 16 x 16 pixels.

The equations are those of `xla.py`, and so are the sorting and the tiles' lists, made
by XLA in layers of fixed size (`tiles.py`): a scene with more slots takes more layers.
A program walks its tile's list front to back, each Gaussian at all pixels at once, and
looks after every BLOCK of them whether any light still passes.

Backward, it writes for each slot one row of sums over the pixels,

    s, s dx, s dy, s dx^2, s dx dy, s dy^2, w g ...    s = dL/dsigma, d = pixel - mean,

Gaussian by Gaussian, so that one segmented sum adds the rows of each: no atomics, and
the same bits in every run.

Never run on a GPU. On a CPU the kernels run in Pallas' interpreter, which is how they
are tested; the tests also lower them to Triton's code for a GPU, but none has run it.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from aw_jax.core.arrays import Array, Bool, Float, Int
from aw_jax.core.errors import UserError
from aw_jax.splat.kernels import tiles
from aw_jax.splat.kernels.tiles import SHAPE, Grid, Layer, Scene, Sorted

SIDE = 16
BLOCK = 32

Ref = Any
"""An array in the device's memory, as a kernel sees it."""
State = tuple[Array, ...]
"""Of a tile; the light that passes, (p,), first: negative once the pixel has ended."""


class Tile(NamedTuple):
    """What a program works on."""

    index: Int[Array, ""]
    """Through all views."""
    column: Int[Array, ""]
    line: Int[Array, ""]
    x: Float[Array, " p"]
    y: Float[Array, " p"]
    """Centres of its pixels."""


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
    grid = Grid(features.shape[0], width, height, SIDE)
    inputs = means2d, conics, opacities, features, depths, radii
    scene = tiles.arrange(*inputs, grid=grid)
    light = tiles.full_light(grid, features.dtype)
    seen = jnp.zeros((light.shape[0], features.shape[2], light.shape[1]), light.dtype)
    kernel = functools.partial(_blend, grid=grid, max_alpha=max_alpha)

    def paint(layer: Layer, _: Int[Array, ""], carry: State) -> State:
        lists = layer.starts, layer.stops, layer.rows, scene.rows
        return _each_tile(kernel, grid, lists, carry)

    carry, first = tiles.sweep(
        scene, (light, seen), paint, grid=grid, capacity=capacity
    )
    light, seen = carry
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
    grid = Grid(features.shape[0], width, height, SIDE)
    inputs = means2d, conics, opacities, features, depths, radii
    order, first = known or (None, None)
    scene = tiles.arrange(*inputs, grid=grid, order=order)
    total = jnp.sum(features_out * d_features_out, axis=-1)
    total = (total + transmittance * d_transmittance)[..., None]
    cotangent = tiles.cut(d_features_out, grid)
    kernel = functools.partial(_blend_backward, grid=grid, max_alpha=max_alpha)

    def paint(layer: Layer, base: Int[Array, ""], carry: State) -> State:
        light, behind, d_rows = carry
        boxes = _boxes_in_window(scene, layer, base)
        d_slots = jnp.zeros((layer.rows.size, scene.rows.shape[1]), light.dtype)
        lists = layer.starts, layer.stops, layer.rows, scene.rows, boxes, cotangent
        state = light, behind, d_slots
        light, behind, d_slots = _each_tile(kernel, grid, lists, state)
        return light, behind, d_rows + _summed(d_slots, scene, base)

    light = tiles.full_light(grid, features.dtype)
    carry = light, tiles.cut(total, grid)[:, 0], jnp.zeros_like(scene.rows)
    carry, _ = tiles.sweep(
        scene, carry, paint, grid=grid, capacity=capacity, first=first
    )
    d_rows = tiles.by_gaussian(scene, _d_rows(carry[2], scene))
    return d_rows[..., :2], d_rows[..., 2:5], d_rows[..., 5], d_rows[..., SHAPE:]


def _each_tile(
    kernel: Callable, grid: Grid, lists: tuple[Array, ...], state: State
) -> State:
    """Runs `kernel(*lists, *state, *new_state)` once per tile; in place on a GPU."""
    aliases = {len(lists) + i: i for i in range(len(state))}
    call = pl.pallas_call(
        kernel,
        out_shape=tuple(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in state),
        grid=(grid.columns, grid.lines, grid.views),
        input_output_aliases=aliases,
        interpret=_interpreted(),
        compiler_params=None if _interpreted() else _triton(),
    )
    return tuple(call(*lists, *state))


def _interpreted() -> bool:
    return jax.default_backend() == "cpu"


def _triton() -> Any:
    """Selects Pallas' Triton lowering, which jax 0.11 deprecates.

    Imported here, so that a jax without it loses this backend alone.
    """
    if jax.default_backend() == "tpu":
        raise UserError(
            'RenderSettings.backend: "pallas" expected a GPU, got a TPU; choose '
            "backend='xla'."
        )
    from jax.experimental.pallas import triton

    return triton.CompilerParams()


def _blend(
    starts: Ref,
    stops: Ref,
    rows: Ref,
    scene: Ref,
    light_in: Ref,
    seen_in: Ref,
    light_out: Ref,
    seen_out: Ref,
    *,
    grid: Grid,
    max_alpha: float,
) -> None:
    """Adds a tile's features, weighted, to what its pixels see."""
    here = _here(grid, light_in.dtype)
    tile = here.index

    def one(slot: Int[Array, ""], state: State) -> State:
        light, *seen = state
        row = rows[slot]
        *_, alpha = _alpha(scene, row, here, max_alpha)
        light, weight = tiles.attenuate(light, alpha)
        each = enumerate(seen)
        return light, *(x + weight * scene[row, SHAPE + k] for k, x in each)

    channels = range(seen_in.shape[1])
    state = light_in[tile, :], *(seen_in[tile, k, :] for k in channels)
    light, *seen = _walk(starts[tile], stops[tile], one, state)
    light_out[tile, :] = light
    for k in channels:
        seen_out[tile, k, :] = seen[k]


def _blend_backward(
    starts: Ref,
    stops: Ref,
    rows: Ref,
    scene: Ref,
    boxes: Ref,
    cotangent: Ref,
    light_in: Ref,
    behind_in: Ref,
    _: Ref,
    light_out: Ref,
    behind_out: Ref,
    d_slots: Ref,
    *,
    grid: Grid,
    max_alpha: float,
) -> None:
    """Takes a tile's slots out of what lies behind; writes one row of sums for each."""
    here = _here(grid, light_in.dtype)
    tile = here.index
    outer = [cotangent[tile, k, :] for k in range(cotangent.shape[1])]

    def one(slot: Int[Array, ""], state: State) -> State:
        light, behind = state
        row = rows[slot]
        dx, dy, alpha = _alpha(scene, row, here, max_alpha)
        light, weight = tiles.attenuate(light, alpha)
        seen = sum(scene[row, SHAPE + k] * g for k, g in enumerate(outer))
        gained = weight * seen
        behind = behind - gained
        s = alpha * behind / (1 - alpha) - gained
        s = jnp.where((weight > 0) & (alpha < max_alpha), s, 0)
        sx, sy = s * dx, s * dy
        shape = s, sx, sy, sx * dx, sx * dy, sy * dy
        place = _place(boxes, row, here)
        for k, values in enumerate([*shape, *(weight * g for g in outer)]):
            d_slots[place, k] = jnp.sum(values)
        return light, behind

    state = light_in[tile, :], behind_in[tile, :]
    light, behind = _walk(starts[tile], stops[tile], one, state)
    light_out[tile, :] = light
    behind_out[tile, :] = behind


def _here(grid: Grid, dtype: jnp.dtype) -> Tile:
    """Outside of loops: there the interpreter knows no program."""
    column, line, view = (pl.program_id(i) for i in range(3))
    pixel = jax.lax.iota(jnp.int32, SIDE * SIDE)
    x = (column * SIDE + jax.lax.rem(pixel, SIDE)).astype(dtype) + 0.5
    y = (line * SIDE + jax.lax.div(pixel, SIDE)).astype(dtype) + 0.5
    index = (view * grid.lines + line) * grid.columns + column
    return Tile(index, column, line, x, y)


def _alpha(
    scene: Ref,
    row: Int[Array, ""],
    here: Tile,
    max_alpha: float,
) -> tuple[Float[Array, " p"], Float[Array, " p"], Float[Array, " p"]]:
    """Pixel - mean (x, y), and the alpha there, of one row of the scene."""
    x, y, a, b, c, opacity = (scene[row, k] for k in range(SHAPE))
    dx, dy = here.x - x, here.y - y
    sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    raw = opacity * jnp.exp(-sigma)
    drawn = (raw >= tiles.ALPHA_MIN) & (sigma >= 0)
    return dx, dy, jnp.where(drawn, jnp.minimum(raw, max_alpha), 0)


def _walk(
    start: Int[Array, ""], stop: Int[Array, ""], one: Callable, state: State
) -> State:
    """Calls `state = one(slot, state)` from start to stop, or until no light passes."""

    def unfinished(carry: tuple[Array, State]) -> Bool[Array, ""]:
        slot, state = carry
        return (slot < stop) & (jnp.max(state[0]) > 0)

    def one_block(carry: tuple[Array, State]) -> tuple[Array, State]:
        slot, state = carry
        end = jnp.minimum(slot + BLOCK, stop)
        return end, jax.lax.fori_loop(slot, end, one, state)

    return jax.lax.while_loop(unfinished, one_block, (start, state))[1]


def _place(boxes: Ref, row: Int[Array, ""], here: Tile) -> Int[Array, ""]:
    """Where the slot of a row of the scene in this tile stands in order of rows."""
    left, top, columns, first = (boxes[row, k] for k in range(4))
    return first + (here.line - top) * columns + here.column - left


def _boxes_in_window(
    scene: Scene, layer: Layer, base: Int[Array, ""]
) -> Int[Array, "vg 4"]:
    """The boxes, their first slots counted from the window's, through all views."""
    views = scene.boxes.shape[0]
    window = jnp.arange(views, dtype=jnp.int32) * (layer.rows.size // views)
    boxes = scene.boxes.at[..., 3].add(window[:, None] - base)
    return boxes.reshape(-1, 4)


def _summed(
    d_slots: Float[Array, "s r"], scene: Scene, base: Int[Array, ""]
) -> Float[Array, "vg r"]:
    """The sum of each Gaussian's rows in a window, which lie side by side."""
    views = scene.boxes.shape[0]
    d_slots = d_slots.reshape(views, -1, d_slots.shape[1])
    first = scene.boxes[..., 3] - base
    end = jnp.concatenate([first[:, 1:], scene.slots[:, None] - base], axis=1)
    size = d_slots.shape[1]
    ours = (jnp.maximum(first, 0) < end) & (first < size)

    def one_view(
        d_slots: Float[Array, "s r"],
        first: Int[Array, " g"],
        end: Int[Array, " g"],
        ours: Bool[Array, " g"],
    ) -> Float[Array, "g r"]:
        begins = jnp.where(ours, jnp.maximum(first, 0), size)
        begins = jnp.zeros((size, 1), bool).at[begins].set(True, mode="drop")
        _, sums = jax.lax.associative_scan(_join, (begins, d_slots))
        last = jnp.clip(end - 1, 0, size - 1)
        return jnp.where(ours[:, None], sums[last], 0)

    summed = jax.vmap(one_view)(d_slots, first, end, ours)
    return summed.reshape(-1, d_slots.shape[-1])


def _join(
    a: tuple[Bool[Array, "s 1"], Float[Array, "s r"]],
    b: tuple[Bool[Array, "s 1"], Float[Array, "s r"]],
) -> tuple[Bool[Array, "s 1"], Float[Array, "s r"]]:
    """Of two stretches of rows: whether a Gaussian begins in them, and its sum."""
    return a[0] | b[0], jnp.where(b[0], b[1], a[1] + b[1])


def _d_rows(sums: Float[Array, "vg r"], scene: Scene) -> Float[Array, "vg r"]:
    """Cotangents of mean, conic, opacity and features from sums over pixels."""
    one, sx, sy, sxx, sxy, syy = sums[:, :SHAPE].T
    _, _, a, b, c, opacity = scene.rows[:, :SHAPE].T
    opacity = jnp.where(opacity > 0, opacity, 1)
    mean = [-(a * sx + b * sy), -(b * sx + c * sy)]
    shape = jnp.stack([*mean, sxx / 2, sxy, syy / 2, -one / opacity], axis=-1)
    return jnp.concatenate([shape, sums[:, SHAPE:]], axis=-1)
