"""Color outliers: colors that were never held by a view, or held by one too bright.

Few views leave the higher harmonics of a Gaussian free; seen from elsewhere it takes a
color of its own. What differs between photos in exposure and white balance is baked
into the harmonics as well, and a stored splat has its harmonics rounded. (Sec. 3.1 and
3.2: Gaussian noise on spherical harmonics.) In a region, then,

    h' = round(h / q) q               of every harmonic; q the width of a step
    c' = g w c,  w = 1 + r, 1, 1 - r  of every color c; g and r drift along the clip
    h' = h + noise                    of some of the Gaussians

    share = 2 % to 30 %      of the Gaussians that get noise
    0.2 to 1.0, 0.1 to 0.5   its standard deviation: constant term, the others
    log g = +-0.17           at most, at severity 1: 0.85 to 1.18
    r     = +-0.08           at most, at severity 1
    q     = 0.06 to 0.5      6 to 3 bits for the 4 units from -2 to 2

Ranges are splatting.md's B3.2, with more noise on the constant term: at its 0.05 to 0.3
(1 % to 8 % of white) one sees nothing.
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Int, Key
from aw_jax.core.keys import named
from aw_jax.core.pytrees import replace
from aw_jax.dataengine.artifacts.regions import region
from aw_jax.dataengine.artifacts.strength import between
from aw_jax.dataengine.artifacts.subject import Draft, Subject
from aw_jax.splat.harmonics import DC

SHARE = (0.02, 0.30)
CONSTANT = (0.2, 1.0)
OTHERS = (0.1, 0.5)
GAIN = 0.17
BALANCE = 0.08
BITS = (6.0, 3.0)
UNITS = 4.0
"""Width of the interval that the bits divide."""
WAVES = 1.5
"""Of gain and balance along the clip, at most."""


def edit(
    draft: Draft,
    subject: Subject,
    frame: Int[Array, ""] | int,
    severity: Float[Array, ""],
    key: Key[Array, ""],
) -> Draft:
    """Wrong harmonics in a region; only gain and balance change along the clip."""
    sh = draft.splat.sh
    hit = region(subject, draft.splat.means, named(key, "region")) & (severity > 0)
    drawn = jax.random.uniform(named(key, "drawn"), hit.shape) < between(
        SHARE, severity
    )
    wrong = rounded(sh, between(BITS, severity))
    wrong = wrong + jnp.where(drawn[:, None, None], _noise(sh, severity, key), 0.0)
    wrong = scaled(wrong, _gains(subject, frame, severity, key))
    return replace(
        draft,
        splat=replace(draft.splat, sh=jnp.where(hit[:, None, None], wrong, sh)),
        touched=jnp.maximum(draft.touched, hit),
    )


def rounded(sh: Float[Array, "g u 3"], bits: Float[Array, ""]) -> Array:
    """Harmonics of so many bits for `UNITS`."""
    step = UNITS / 2**bits
    return jnp.round(sh / step) * step


def scaled(sh: Float[Array, "g u 3"], gains: Float[Array, " 3"]) -> Array:
    """Harmonics of the color times `gains`, from any side.

    A color is 1/2 + sum_u basis_u sh_u: its half is scaled in the constant term.
    """
    return (sh * gains).at[:, 0].add((gains - 1) * 0.5 / DC)


def _noise(
    sh: Float[Array, "g u 3"], severity: Float[Array, ""], key: Key[Array, ""]
) -> Float[Array, "g u 3"]:
    """More of it in the constant term."""
    constant, others = between(CONSTANT, severity), between(OTHERS, severity)
    sizes = jnp.where(jnp.arange(sh.shape[1]) == 0, constant, others)[:, None]
    return sizes * jax.random.normal(named(key, "noise"), sh.shape)


def _gains(
    subject: Subject,
    frame: Int[Array, ""] | int,
    severity: Float[Array, ""],
    key: Key[Array, ""],
) -> Float[Array, " 3"]:
    """Of red, green and blue in a frame: slow waves, which start anywhere."""
    phases = jax.random.uniform(named(key, "phases"), (2,))
    waves = WAVES * jax.random.uniform(named(key, "waves"), (2,))
    time = frame / len(subject.cameras.intrinsics)
    gain, balance = jnp.sin(2 * jnp.pi * (phases + waves * time)) * severity
    white = 1 + BALANCE * balance * jnp.array([1.0, 0.0, -1.0])
    return jnp.exp(GAIN * gain) * white
