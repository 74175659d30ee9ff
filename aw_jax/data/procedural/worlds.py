"""A world from a seed: its surfaces, its light, and the stage for cameras."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, UInt8
from aw_jax.core.pytrees import pytree
from aw_jax.data.procedural.furniture import Workshop
from aw_jax.data.procedural.layouts import LAYOUTS, Stage
from aw_jax.data.procedural.palette import SIZE, Palette, atlas, paint
from aw_jax.data.procedural.solids import Builder, Solids

VERSION = 1
"""Of what seeds stand for: raised whenever the world of any seed changes."""


@pytree
class Light:
    """One lamp or sun, and the glow from above and below."""

    position: Float[Array, "3"]
    """World metres; a sun is merely far."""
    spread: Float[Array, ""]
    """Radius of the lamp as seen by soft shadows, in metres."""
    color: Float[Array, "3"]
    above: Float[Array, "3"]
    """Ambient light on surfaces that face up."""
    below: Float[Array, "3"]


@pytree
class Matter:
    """Everything that the renderer sees; equal shapes for every seed."""

    solids: Solids
    atlas: UInt8[Array, "k q 4"]
    """Textures with their mip levels (palette.atlas)."""
    light: Light


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProceduralWorld:
    """One world and where to look at it from."""

    seed: int
    kind: str
    """The layout's name."""
    matter: Matter
    stage: Stage
    metering: float = 0.0
    """Share of a change of brightness, in stops, that the camera's auto-exposure takes
    back; 0: exposure is locked."""


def scene(seed: int, *, texture_size: int = SIZE) -> ProceduralWorld:
    """The world of a seed, the same on every call.

    `texture_size` (a power of two) sharpens textures for large photos; it does not move
    or change any object.
    """
    painter = np.random.default_rng(seed).spawn(1)[0]
    return furnished(seed, paint(painter, size=texture_size))


def furnished(seed: int, palette: Palette) -> ProceduralWorld:
    """The world of a seed in given textures; the seed alone decides all the rest."""
    streams = np.random.default_rng(seed).spawn(3)[1:]
    shop = Workshop(rng=streams[0], builder=Builder(), palette=palette)
    kind = str(shop.rng.choice(list(LAYOUTS)))
    stage = LAYOUTS[kind](shop)
    matter = Matter(
        solids=_frozen(shop.builder),
        atlas=jnp.asarray(atlas(palette)),
        light=_sun(shop, stage) if stage.outdoors else _lamp(shop, stage),
    )
    return ProceduralWorld(
        seed=seed,
        kind=kind,
        matter=matter,
        stage=stage,
        metering=_metering(streams[1]),
    )


def _metering(rng: np.random.Generator) -> float:
    """A third of all cameras lock their exposure; others follow most of the light."""
    follows, strength = rng.uniform() < 2 / 3, rng.uniform(0.6, 1.0)
    return float(strength) if follows else 0.0


def _frozen(builder: Builder) -> Solids:
    """The builder's table on the device."""
    arrays = {name: jnp.asarray(a, jnp.float32) for name, a in builder.arrays.items()}
    arrays["textures"] = arrays["textures"].astype(jnp.int32)
    return Solids(**arrays)


def _sun(shop: Workshop, stage: Stage) -> Light:
    """A far light at 25 to 65 degrees, with a bright sky."""
    azimuth, height = shop.uniform(-np.pi, np.pi), shop.uniform(0.45, 1.1)
    way = np.array(
        [
            np.cos(azimuth) * np.cos(height),
            np.sin(azimuth) * np.cos(height),
            np.sin(height),
        ]
    )
    warm = np.array([1.0, shop.uniform(0.85, 1.0), shop.uniform(0.7, 0.95)])
    strength = shop.uniform(0.5, 1.15)
    return Light(
        position=_f32(stage.focus + 60 * way),
        spread=_f32(shop.uniform(0.5, 3.0)),
        color=_f32(warm * strength),
        above=_f32(np.array([0.5, 0.55, 0.65]) * shop.uniform(0.8, 1.2)),
        below=_f32(np.array([0.2, 0.19, 0.16]) * shop.uniform(0.7, 1.2)),
    )


def _lamp(shop: Workshop, stage: Stage) -> Light:
    """A lamp under the ceiling, and light thrown back by the walls."""
    low, high = stage.bounds
    spot = np.array([0.5 + side * shop.uniform(0.0, 0.4) for side in (-1, 1)])
    at = np.append(low[:2] + spot * (high - low)[:2], high[2] + 0.1)
    warm = np.array([1.0, shop.uniform(0.85, 0.98), shop.uniform(0.65, 0.95)])
    return Light(
        position=_f32(at),
        spread=_f32(shop.uniform(0.05, 0.3)),
        color=_f32(warm * shop.uniform(0.5, 0.9)),
        above=_f32(np.array([0.5, 0.49, 0.47]) * shop.uniform(0.8, 1.15)),
        below=_f32(np.array([0.36, 0.34, 0.31]) * shop.uniform(0.8, 1.15)),
    )


def _f32(x: Float[np.ndarray, "*b"] | float) -> Float[Array, "*b"]:
    """To the device, in single precision."""
    return jnp.asarray(x, jnp.float32)
