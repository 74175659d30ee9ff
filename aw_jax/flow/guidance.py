"""Guidance: a velocity put together from several predictions of one state.

    c  with the prompt,  u  with the negative prompt,  p  with perturbed self-attention

    out = u + g (c - u) + s (c - p)                        classifier-free and STG
    u  <-  u <c, u> / |u|^2                                CFG*, before the above
    out <- out (r std(c) / std(out) + 1 - r)               rescaling, after it

Sums and deviations run over all tokens and channels of a sample. g, s and r follow the
noise level by a table. (LTX-Video pipeline_ltx_video.py.)
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float
from aw_jax.core.errors import UserError
from aw_jax.core.pytrees import pytree


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuidanceConfig:
    """Scales by noise level; every table has one entry per level."""

    levels: tuple[float, ...] = (0.0,)
    """Falling. The first entry that is at most t holds at t; below all, the last."""
    guidance: tuple[float, ...] = (1.0,)
    """g; 1 needs no negative prompt."""
    stg: tuple[float, ...] = (0.0,)
    """s; 0 needs no perturbed prediction."""
    rescale: tuple[float, ...] = (1.0,)
    """r where s > 0. As in the published tables 1 means: do not rescale."""
    blocks: tuple[tuple[int, ...], ...] = ((),)
    """The blocks that are perturbed."""
    star: bool = False
    """CFG*: project the negative prediction first."""

    def __post_init__(self) -> None:
        """Refuses tables of other lengths, rising levels, g < 1 and s < 0."""
        for name in ("guidance", "stg", "rescale", "blocks"):
            count = len(getattr(self, name))
            expected = f"{len(self.levels)} entries, one per level"
            _check(count == len(self.levels), name, expected, count)
        falling = tuple(sorted(self.levels, reverse=True))
        _check(len(falling) > 0, "levels", "at least one level", self.levels)
        _check(self.levels == falling, "levels", "falling", self.levels)
        _check(min(self.guidance) >= 1, "guidance", "at least 1", min(self.guidance))
        _check(min(self.stg) >= 0, "stg", "at least 0", min(self.stg))
        for s, blocks in zip(self.stg, self.blocks, strict=True):
            _check(not s or bool(blocks), "blocks", "some where stg > 0", blocks)


def _check(holds: bool, name: str, expected: str, got: object) -> None:
    if not holds:
        raise UserError(f"GuidanceConfig.{name} must be {expected}, got {got!r}.")


def constant(
    *,
    guidance: float = 1.0,
    stg: float = 0.0,
    rescale: float = 1.0,
    blocks: tuple[int, ...] = (),
    star: bool = False,
) -> GuidanceConfig:
    """The same scales at every level."""
    return GuidanceConfig(
        guidance=(guidance,),
        stg=(stg,),
        rescale=(rescale,),
        blocks=(blocks,),
        star=star,
    )


LTX_13B_DEV = GuidanceConfig(
    levels=(1.0, 0.996, 0.9933, 0.985, 0.9767, 0.9008, 0.618),
    guidance=(1.0, 1.0, 6.0, 8.0, 6.0, 1.0, 1.0),
    stg=(0.0, 0.0, 4.0, 4.0, 4.0, 2.0, 1.0),
    rescale=(1.0, 1.0, 0.5, 0.5, 1.0, 1.0, 1.0),
    blocks=((), (11, 25, 35, 39), (22, 35, 39), (28,), (28,), (28,), (28,)),
    star=True,
)
"""The 13B dev checkpoints (first pass, 30 steps of which the last 3 are skipped)."""

LTX_2B_DEV = constant(guidance=3.0, stg=1.0, rescale=0.7, blocks=(19,))
"""The 2B dev checkpoints (40 steps)."""


@pytree
class Scales:
    """g, s and r of each step."""

    guidance: Float[Array | np.ndarray, "*t"]
    stg: Float[Array | np.ndarray, "*t"]
    rescale: Float[Array | np.ndarray, "*t"]
    """As in the equation: 0 does nothing."""


def entries(config: GuidanceConfig, times: np.ndarray) -> np.ndarray:
    """Which entry of the tables holds at each of the levels `times`."""
    reached = np.asarray(config.levels) <= np.asarray(times)[:, None] + 1e-9
    return np.where(reached.any(1), reached.argmax(1), len(config.levels) - 1)


def scales(config: GuidanceConfig, times: np.ndarray) -> Scales:
    """The scales at each of the levels `times`, as plain numpy."""
    tables = (config.guidance, config.stg, config.rescale)
    chosen = entries(config, times)
    g, s, r = (np.asarray(table, np.float32)[chosen] for table in tables)
    return Scales(guidance=g, stg=s, rescale=np.where((r == 1) | (s == 0), 0, r))


def skipped(config: GuidanceConfig, times: np.ndarray, *, layers: int) -> np.ndarray:
    """Which of the `layers` blocks are perturbed at each of the levels: [t, layers].

    Raises:
        UserError: the config names a block that the network does not have.
    """
    largest = max((block for row in config.blocks for block in row), default=0)
    _check(largest < layers, "blocks", f"below the {layers} of the network", largest)
    table = np.zeros((len(config.levels), layers), bool)
    for row, blocks in zip(table, config.blocks, strict=True):
        row[list(blocks)] = True
    return table[entries(config, times)]


def project(
    c: Float[Array, "b n c"], u: Float[Array, "b n c"]
) -> Float[Array, "b n c"]:
    """CFG*: the part of c along u, per sample."""
    along = jnp.sum(c * u, axis=(1, 2), keepdims=True)
    return u * along / (jnp.sum(u * u, axis=(1, 2), keepdims=True) + 1e-8)


def rescaled(
    out: Float[Array, "b n c"], c: Float[Array, "b n c"], r: Float[Array, ""]
) -> Float[Array, "b n c"]:
    """`out` with its deviation moved towards that of c: all the way at r = 1."""
    wanted, found = (jnp.std(x, axis=(1, 2), keepdims=True) for x in (c, out))
    return out * (r * wanted / found + 1 - r)


def guided(
    c: Float[Array, "b n c"],
    u: Float[Array, "b n c"] | None,
    p: Float[Array, "b n c"] | None,
    *,
    scales: Scales,
    star: bool = False,
) -> Float[Array, "b n c"]:
    """The three put together; one that is `None` takes no part."""
    out = c
    if u is not None:
        u = project(c, u) if star else u
        out = u + scales.guidance * (c - u)
    if p is not None:
        out = rescaled(out + scales.stg * (c - p), c, jnp.asarray(scales.rescale))
    return out
