"""Tiles of one size that overlap, averaged with weights that sum to one.

A tile's weight along an axis is a trapezoid: 0 where it does not count, then a linear
ramp over the rest of the overlap, then 1. Tiles x_k with weights w_k are averaged as
they come,

    mean += w_k / (w_1 + ... + w_k) * (x_k - mean),

so where tiles agree the result is exactly theirs. One program makes every tile in turn,
and only one tile's intermediate arrays exist at a time.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, Int


@dataclasses.dataclass(frozen=True)
class Blend:
    """Where tiles are written along one axis, and their weights, which sum to one."""

    starts: list[int]
    weights: Float[np.ndarray, "tiles size"]
    earlier: Float[np.ndarray, "tiles size"]
    """What earlier tiles weigh at the places of each."""

    @classmethod
    def of(
        cls, starts: list[int], size: int, overlap: int, *, before: int, after: int
    ) -> "Blend":
        """Of trapezoids whose ramps fill `overlap` but for `before` and `after`."""
        ramp = overlap - before - after + 1
        places = np.arange(size)
        rise = np.clip((places - before + 1) / ramp, 0, 1)
        fall = np.clip((places[::-1] - after + 1) / ramp, 0, 1)
        raw = np.zeros((len(starts), starts[-1] + size))
        for i, start in enumerate(starts):
            up = rise if i else np.ones(size)
            down = fall if i + 1 < len(starts) else np.ones(size)
            raw[i, start : start + size] = np.minimum(up, down)
        raw /= raw.sum(axis=0)
        before_each = np.cumsum(raw, axis=0) - raw
        at = [slice(start, start + size) for start in starts]
        return cls(
            starts,
            np.stack([row[here] for row, here in zip(raw, at, strict=True)]),
            np.stack([row[here] for row, here in zip(before_each, at, strict=True)]),
        )


def blended(
    run: Callable[[Array, Int[Array, " 3"]], Float[Array, "b l m n d"]],
    x: Float[Array, "b f h w c"],
    pieces: list[tuple[list[int], int]],
    blends: list[Blend],
    shape: tuple[int, ...],
) -> Float[Array, "b g y x d"]:
    """`run` on every piece of `x`, blended into an array of `shape` (without batch).

    `run` gets a piece [b, i, j, k, c] and where it begins in `x`.
    """
    if math.prod(len(starts) for starts, _ in pieces) == 1:
        return run(x, jnp.zeros(3, int))
    sizes = (x.shape[0], *(size for _, size in pieces), x.shape[-1])
    froms = jnp.asarray(list(itertools.product(*(starts for starts, _ in pieces))))
    tos = jnp.asarray(list(itertools.product(*(blend.starts for blend in blends))))
    tiles = list(itertools.product(*(range(len(b.starts)) for b in blends)))

    def add(
        mean: Float[Array, "b g y x d"], at: tuple[Int[Array, " 3"], ...]
    ) -> tuple[Float[Array, "b g y x d"], None]:
        read, write, tile = at
        piece = run(jax.lax.dynamic_slice(x, (0, *read, 0), sizes), read)
        share = _share(blends, tile)[..., None].astype(piece.dtype)
        place = (0, *write, 0)
        old = jax.lax.dynamic_slice(mean, place, piece.shape)
        new = old + share * (piece - old)
        return jax.lax.dynamic_update_slice(mean, new, place), None

    start = jnp.zeros((x.shape[0], *shape), x.dtype)
    mean, _ = jax.lax.scan(add, start, (froms, tos, jnp.asarray(tiles)))
    return mean


def _share(blends: list[Blend], tile: Int[Array, " 3"]) -> Float[Array, "l m n"]:
    """w_k / (w_1 + ... + w_k) of tile k, tiles in the order of their indices.

    Weights are products over the axes, so the sum over earlier tiles is that over
    earlier ones in time, plus those of this time and earlier rows, and so on.
    """
    weights, earlier = (
        [
            jnp.asarray(getattr(blend, name), jnp.float32)[tile[i]]
            for i, blend in enumerate(blends)
        ]
        for name in ("weights", "earlier")
    )
    shapes = ((-1, 1, 1), (1, -1, 1), (1, 1, -1))
    t, y, x = (w.reshape(s) for w, s in zip(weights, shapes, strict=True))
    dt, dy, dx = (e.reshape(s) for e, s in zip(earlier, shapes, strict=True))
    own = t * (y * x)  # in the order of the sum: alone, a tile's share is exactly 1
    total = dt + t * (dy + y * (dx + x))
    return jnp.where(own > 0, own / jnp.where(own > 0, total, 1), 0)
