"""The table of primitives a world is made of, and the builder that fills it.

Every world has the same number of slots of every kind, so that one compiled renderer
serves all seeds; a slot nothing was put into is a speck far below the ground, culled at
once. A primitive is a unit shape in its own frame: the box |q| <= 1, the ball, the
cylinder about z, and in the plane z = 0 the square card and the round disc.
"""

import dataclasses

import numpy as np

from aw_jax.core.arrays import Array, Float, Int
from aw_jax.core.pytrees import pytree

KINDS = {"box": 28, "ball": 20, "cylinder": 28, "card": 20, "disc": 96, "dome": 1}
"""Slots of each kind, in the order of the table's rows."""

FIRST = dict(zip(KINDS, np.cumsum([0, *KINDS.values()]).tolist(), strict=False))
"""The row of each kind's first slot."""

ROWS = sum(KINDS.values())


@pytree
class Solids:
    """One row per primitive."""

    centers: Float[Array, "p 3"]
    """In world metres."""
    local_from_world: Float[Array, "p 3 3"]
    """Rotations to the primitives' own axes."""
    radii: Float[Array, "p 3"]
    """Half extents along those axes, in metres."""
    textures: Int[Array, " p"]
    """Rows of the atlas."""
    repeats: Float[Array, "p 2"]
    """Texture repeats per metre along u and v."""
    tints: Float[Array, "p 3"]
    """Linear factors on the texture."""
    gloss: Float[Array, " p"]
    """Share of mirrored light, in [0, 1]."""
    glow: Float[Array, " p"]
    """1: shines by itself, as the sky and lamps do."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Material:
    """What a surface looks like."""

    texture: int
    repeats: tuple[float, float] | float | None = 1.0
    """Per metre; None: one repeat over the whole face (pictures, pages)."""
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gloss: float = 0.0
    glow: float = 0.0


class Builder:
    """Collects primitives on the host; what exceeds a kind's slots is left out."""

    def __init__(self) -> None:
        self.used = dict.fromkeys(KINDS, 0)
        self.arrays = {
            "centers": np.tile(np.array([0.0, 0.0, -1e4]), (ROWS, 1)),
            "local_from_world": np.tile(np.eye(3), (ROWS, 1, 1)),
            "radii": np.full((ROWS, 3), 1e-2),
            "textures": np.zeros(ROWS),
            "repeats": np.ones((ROWS, 2)),
            "tints": np.ones((ROWS, 3)),
            "gloss": np.zeros(ROWS),
            "glow": np.zeros(ROWS),
        }

    def add(
        self,
        kind: str,
        center: Float[np.ndarray, "3"],
        radii: tuple[float, float, float],
        material: Material,
        rotation: Float[np.ndarray, "3 3"] | None = None,
    ) -> None:
        """Puts one primitive; `rotation` has its axes in the world as columns."""
        if self.used[kind] == KINDS[kind]:
            return
        row = FIRST[kind] + self.used[kind]
        self.used[kind] += 1
        size = np.maximum(np.asarray(radii, float), 1e-3)
        repeats = material.repeats
        if repeats is None:
            repeats = 0.5 / size[:2]
        self.arrays["centers"][row] = center
        if rotation is not None:
            self.arrays["local_from_world"][row] = np.asarray(rotation).T
        self.arrays["radii"][row] = size
        self.arrays["textures"][row] = material.texture
        self.arrays["repeats"][row] = repeats
        self.arrays["tints"][row] = material.tint
        self.arrays["gloss"][row] = material.gloss
        self.arrays["glow"][row] = material.glow


def about_z(angle: float) -> Float[np.ndarray, "3 3"]:
    """The rotation by `angle` radians about the vertical."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def facing(
    normal: Float[np.ndarray, "3"], *, roll: float = 0.0
) -> Float[np.ndarray, "3 3"]:
    """Axes of a card or disc whose front looks along `normal`, its v axis downwards."""
    z = normal / np.linalg.norm(normal)
    up = np.array([0.0, 1.0, 0.0]) if abs(z[2]) > 0.9 else np.array([0.0, 0.0, 1.0])
    x = np.cross(up, z)
    x /= np.linalg.norm(x)
    turn = about_z(roll)
    return np.stack([x, -np.cross(z, x), -z], axis=-1) @ turn


def along(direction: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Axes of a cylinder that runs along `direction`."""
    z = direction / np.linalg.norm(direction)
    other = np.array([1.0, 0.0, 0.0]) if abs(z[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
    x = np.cross(other, z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=-1)
