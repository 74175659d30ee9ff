"""The light that leaves a surface: texture, lamp with soft shadow, ambient, gloss."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, Int
from aw_jax.core.pytrees import pytree
from aw_jax.data.procedural.solids import FIRST, Solids
from aw_jax.data.procedural.texturing import sample
from aw_jax.data.procedural.tracing import Vector
from aw_jax.data.procedural.worlds import Light, Matter


@pytree
class Surface:
    """What is known at the point each ray meets."""

    point: Vector
    normal: Vector
    """Unit, towards the viewer."""
    view: Vector
    """Unit direction from the viewer to the point."""
    albedo: Vector
    gloss: Float[Array, " r"]
    glow: Float[Array, " r"]


def surface_at(
    matter: Matter,
    row: Int[Array, " r"],
    point: Vector,
    view: Vector,
    footprint: Float[Array, " r"],
) -> Surface:
    """The surface of primitive `row` at `point`; `footprint`: metres per sample."""
    solids = _rows(matter.solids, row)
    axes, center, radii = solids.local_from_world, solids.centers, solids.radii
    offset = [point[i] - center[:, i] for i in range(3)]
    local = [dot(axes[:, i].T, offset) for i in range(3)]
    unit = [local[i] / radii[:, i] for i in range(3)]
    normal = _normal(row, unit, radii)
    world = [dot(axes[:, :, j].T, normal) for j in range(3)]
    facing = dot(world, view)
    world = [-x * jnp.sign(facing) for x in world]
    repeats = solids.repeats
    uv = _unwrap(row, local, unit, repeats)
    slant = jnp.sqrt(jnp.maximum(jnp.abs(facing), 0.05))
    share = footprint * jnp.maximum(repeats[:, 0], repeats[:, 1]) / slant
    color = sample(matter.atlas, solids.textures, uv, share)
    tint = solids.tints
    return Surface(
        point=point,
        normal=tuple(world),
        view=view,
        albedo=tuple(color[i] * tint[:, i] for i in range(3)),
        gloss=solids.gloss,
        glow=solids.glow,
    )


def light_at(
    surface: Surface, light: Light, to_light: Vector, lit: Float[Array, " r"]
) -> Vector:
    """Linear light towards the viewer; `lit` is 0 in shadow, `to_light` unit."""
    n, v = surface.normal, surface.view
    direct = jnp.maximum(dot(n, to_light), 0) * lit
    up = 0.5 + 0.5 * n[2]
    mirrored = [v[i] - 2 * dot(n, v) * n[i] for i in range(3)]
    shine = jnp.maximum(dot(mirrored, to_light), 0) * lit
    for _ in range(5):
        shine = shine * shine
    sky = jnp.clip(0.5 + 1.5 * mirrored[2], 0, 1)
    colors = []
    for i in range(3):
        ambient = light.below[i] + (light.above[i] - light.below[i]) * up
        diffuse = surface.albedo[i] * (ambient + light.color[i] * direct)
        around = light.below[i] + (1.4 * light.above[i] - light.below[i]) * sky
        mirror = surface.gloss * (around + 2 * light.color[i] * shine)
        shaded = (1 - surface.gloss) * diffuse + mirror
        colors.append(shaded + surface.glow * (surface.albedo[i] - shaded))
    return tuple(colors)


def dot(
    a: Sequence[Array] | Float[Array, "3 ..."],
    b: Sequence[Array] | Float[Array, "3 ..."],
) -> Float[Array, "..."]:
    """The inner product of vectors kept as components."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _normal(
    row: Int[Array, " r"], unit: list[Array], radii: Float[Array, "r 3"]
) -> list[Float[Array, " r"]]:
    """Outward unit normals in the primitives' own frames."""
    size = [jnp.abs(x) for x in unit]
    largest = jnp.maximum(jnp.maximum(size[0], size[1]), size[2])
    box = [jnp.where(size[i] == largest, jnp.sign(unit[i]), 0.0) for i in range(3)]
    ball = [unit[i] / radii[:, i] for i in range(3)]
    around = unit[0] * unit[0] + unit[1] * unit[1]
    cap = size[2] * size[2] >= around
    cylinder = [
        jnp.where(cap, 0.0, unit[0] / radii[:, 0]),
        jnp.where(cap, 0.0, unit[1] / radii[:, 1]),
        jnp.where(cap, jnp.sign(unit[2]), 0.0),
    ]
    flat = [0.0, 0.0, -1.0]
    chosen = [
        jnp.where(
            row < FIRST["ball"],
            box[i],
            jnp.where(
                row < FIRST["cylinder"],
                ball[i],
                jnp.where(
                    row < FIRST["card"],
                    cylinder[i],
                    jnp.where(row < FIRST["dome"], flat[i], ball[i]),
                ),
            ),
        )
        for i in range(3)
    ]
    length = jnp.sqrt(jnp.maximum(dot(chosen, chosen), 1e-12))
    return [x / length for x in chosen]


def _unwrap(
    row: Int[Array, " r"],
    local: list[Array],
    unit: list[Array],
    repeats: Float[Array, "r 2"],
) -> Float[Array, "2 r"]:
    """Texture coordinates: the face of a box around the shape, v down on its sides.

    The dome is unwrapped stereographically from the nadir, which has no seam.
    """
    size = [jnp.abs(x) for x in unit]
    plane = (row >= FIRST["card"]) | (size[2] > jnp.maximum(size[0], size[1]))
    u = jnp.where(plane | (size[1] >= size[0]), local[0], local[1])
    v = jnp.where(plane, local[1], -local[2])
    spread = 0.5 / jnp.maximum(1 + unit[2], 1e-3)
    dome = row >= FIRST["dome"]
    u = jnp.where(dome, unit[0] * spread, u * repeats[:, 0])
    v = jnp.where(dome, unit[1] * spread, v * repeats[:, 1])
    return jnp.stack([u + 0.5, v + 0.5])


def _rows(solids: Solids, row: Int[Array, " r"]) -> Solids:
    """The table's entry for each ray, fetched as one row of numbers."""
    leaves, tree = jax.tree.flatten(solids)
    widths = [leaf[0].size for leaf in leaves]
    table = jnp.concatenate(
        [leaf.reshape(len(leaf), -1).astype(jnp.float32) for leaf in leaves], axis=1
    )
    rows = jax.lax.optimization_barrier(table.at[row].get(mode="promise_in_bounds"))
    parts = jnp.split(rows, np.cumsum(widths)[:-1].tolist(), axis=1)
    return tree.unflatten(
        part.reshape(len(row), *leaf.shape[1:]).astype(leaf.dtype)
        for part, leaf in zip(parts, leaves, strict=True)
    )
