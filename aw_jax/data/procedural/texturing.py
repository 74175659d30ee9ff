"""Reading the atlas: wrapped, trilinear in space and mip level.

The level is chosen so that a texel is about as large as the sample's footprint on the
surface; with supersampling by the renderer nothing aliases, however far a surface is.
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Int, UInt8


def sample(
    atlas: UInt8[Array, "k q 4"],
    texture: Int[Array, " r"],
    uv: Float[Array, "2 r"],
    footprint: Float[Array, " r"],
) -> tuple[Float[Array, " r"], ...]:
    """Linear-light red, green and blue of textures at `uv` (in repeats).

    `footprint` is in repeats: the share of the texture a sample covers.
    """
    size = _size(atlas)
    uv, footprint = jax.lax.optimization_barrier((uv, footprint))
    levels = size.bit_length()
    level = jnp.clip(jnp.log2(jnp.maximum(footprint * size, 1e-6)), 0, levels - 1.001)
    lower = jnp.floor(level)
    base, lower, share = (
        texture * atlas.shape[1],
        lower.astype(jnp.int32),
        level - lower,
    )
    fine, coarse = _taps(uv, lower, size), _taps(uv, lower + 1, size)
    weights = [w * (1 - share) for w in fine[1]] + [w * share for w in coarse[1]]
    packed = jax.lax.bitcast_convert_type(atlas, jnp.uint32).reshape(-1)
    at = [base + place for place in fine[0] + coarse[0]]
    # Materialised: fused into the sums, all this would run once per tap and channel.
    at, weights = jax.lax.optimization_barrier((at, weights))
    texels = [packed.at[i].get(mode="promise_in_bounds") for i in at]
    texels = jax.lax.optimization_barrier(texels)
    return tuple(
        sum(w * _linear(x, c) for w, x in zip(weights, texels, strict=True))
        for c in range(3)
    )


def _taps(
    uv: Float[Array, "2 r"], level: Int[Array, " r"], size: int
) -> tuple[list[Int[Array, " r"]], list[Float[Array, " r"]]]:
    """Places in a pyramid, and weights, of one level's four texels around points."""
    side = size >> level
    start = (4 * (size * size - side * side)) // 3
    x, y = uv[0] * side - 0.5, uv[1] * side - 0.5
    left, top = jnp.floor(x), jnp.floor(y)
    fx, fy = x - left, y - top
    i, j = left.astype(jnp.int32), top.astype(jnp.int32)
    mask = side - 1
    rows = (start + (j & mask) * side, start + ((j + 1) & mask) * side)
    columns = (i & mask, (i + 1) & mask)
    places = [row + column for row in rows for column in columns]
    return places, [wy * wx for wy in (1 - fy, fy) for wx in (1 - fx, fx)]


def _linear(texel: Array, channel: int) -> Float[Array, " r"]:
    """One channel of packed texels, squared into linear light."""
    byte = (texel >> (8 * channel)) & 255
    display = byte.astype(jnp.int32).astype(jnp.float32) / 255
    return display * display


def _size(atlas: Array) -> int:
    """Texels per side of level 0: q = (4 size^2 - 1) / 3."""
    size = 1
    while (4 * size * size - 1) // 3 < atlas.shape[1]:
        size *= 2
    return size
