"""The textures of one world: which are painted, and how a surface picks among them."""

import dataclasses

import numpy as np

from aw_jax.core.arrays import UInt8
from aw_jax.data.procedural import pictures, textures
from aw_jax.data.procedural.noise import Image
from aw_jax.data.procedural.solids import Material

SIZE = 128
"""Texels per side of every texture."""

PAINTERS: dict[str, tuple[textures.Painter, int]] = {
    "sky": (pictures.sky, 1),
    "plaster": (textures.plaster, 2),
    "wallpaper": (textures.wallpaper, 1),
    "bricks": (textures.bricks, 1),
    "wood": (textures.wood, 3),
    "tiles": (textures.tiles, 1),
    "stripes": (textures.stripes, 1),
    "plaid": (textures.plaid, 1),
    "cloth": (textures.cloth, 2),
    "stone": (textures.stone, 2),
    "grass": (textures.grass, 1),
    "paving": (textures.paving, 1),
    "foliage": (textures.foliage, 2),
    "page": (textures.page, 2),
    "books": (textures.books, 1),
    "metal": (textures.metal, 2),
    "leaves": (pictures.dead_leaves, 2),
    "picture": (pictures.dead_leaves, 1),
    "landscape": (pictures.landscape, 2),
}
"""Painter and number of variants of each texture name; the same for every world."""

REPEATS = {
    "plaster": 0.4,
    "wallpaper": 0.7,
    "bricks": 0.8,
    "wood": 0.7,
    "tiles": 0.6,
    "stripes": 1.5,
    "plaid": 1.6,
    "cloth": 1.2,
    "stone": 0.8,
    "grass": 0.35,
    "paving": 0.35,
    "foliage": 1.3,
    "metal": 1.5,
    "leaves": 0.9,
}
"""Texture repeats per metre; names that are missing cover a face exactly once."""

ANYTHING = ("wood", "stripes", "plaid", "cloth", "stone", "metal", "leaves", "tiles")
"""What a piece of clutter may be made of."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Palette:
    """Row ranges of the atlas by texture name."""

    rows: dict[str, range]
    images: list[Image]

    def pick(
        self,
        rng: np.random.Generator,
        *names: str,
        gloss: float = 0.0,
        glow: float = 0.0,
        scale: float = 1.0,
    ) -> Material:
        """A material of one of the named textures, its tint and scale varied a bit."""
        name = str(rng.choice(names))
        repeats = REPEATS.get(name)
        if repeats is not None:
            repeats = float(repeats * scale * rng.uniform(0.8, 1.3))
        tint = np.exp(rng.normal(size=3) * 0.08 + rng.normal() * 0.12)
        return Material(
            texture=int(rng.choice(self.rows[name])),
            repeats=repeats,
            tint=(float(tint[0]), float(tint[1]), float(tint[2])),
            gloss=gloss,
            glow=glow,
        )


def paint(rng: np.random.Generator, *, size: int = SIZE) -> Palette:
    """Paints every texture of a world."""
    rows, images = {}, []
    for name, (painter, count) in PAINTERS.items():
        rows[name] = range(len(images), len(images) + count)
        images += [painter(rng, size) for _ in range(count)]
    for row in rows["picture"]:
        images[row] = pictures.framed(images[row], rng)
    return Palette(rows=rows, images=images)


def atlas(palette: Palette) -> UInt8[np.ndarray, "k q 4"]:
    """Every texture with its mip levels, finest first, as linear-light averages.

    A level is the 2x2 mean of squared display values (gamma 2), stored in bytes.
    """
    return np.stack([_pyramid(image) for image in palette.images])


def _pyramid(image: Image) -> UInt8[np.ndarray, "q 4"]:
    """One texture's levels, flattened and joined, with a padding byte per texel."""
    linear, levels = np.asarray(image, float) ** 2, []
    while True:
        display = np.floor(np.sqrt(linear) * 255 + 0.5).astype(np.uint8)
        levels.append(display.reshape(-1, 3))
        size = len(linear) // 2
        if size == 0:
            break
        linear = linear.reshape(size, 2, size, 2, 3).mean(axis=(1, 3))
    texels = np.concatenate(levels)
    return np.pad(texels, ((0, 0), (0, 1)))
