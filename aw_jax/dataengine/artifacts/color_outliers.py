"""Color outliers: harmonics that were never held by a view.

Few views leave the higher harmonics of a Gaussian free; seen from elsewhere it takes a
color of its own. A share of the Gaussians gets noise on its constant term and on the
higher ones. (Sec. 3.2: Gaussian noise on spherical harmonics.)

    q = 2 % to 30 %   of the Gaussians of a region
    a = 0.2 to 1.0    standard deviation on the constant term
    b = 0.1 to 0.5    on the others
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Int, Key
from aw_jax.core.keys import named
from aw_jax.core.pytrees import replace
from aw_jax.dataengine.artifacts.regions import region
from aw_jax.dataengine.artifacts.subject import Draft, Subject

SHARE = (0.02, 0.30)
CONSTANT = (0.2, 1.0)
OTHERS = (0.1, 0.5)


def edit(
    draft: Draft,
    subject: Subject,
    frame: Int[Array, ""] | int,
    severity: Float[Array, ""],
    key: Key[Array, ""],
) -> Draft:
    """Noise on the harmonics of some Gaussians; the same in every frame."""
    del frame
    sh = draft.splat.sh
    share, constant, others = (
        low + (high - low) * severity for low, high in (SHARE, CONSTANT, OTHERS)
    )
    drawn = jax.random.uniform(named(key, "drawn"), (len(sh),)) < share
    hit = drawn & region(subject, draft.splat.means, named(key, "region"))
    hit = hit & (severity > 0)
    sizes = jnp.where(jnp.arange(sh.shape[1]) == 0, constant, others)[:, None]
    noise = sizes * jax.random.normal(named(key, "noise"), sh.shape)
    return replace(
        draft,
        splat=replace(draft.splat, sh=sh + jnp.where(hit[:, None, None], noise, 0.0)),
        touched=jnp.maximum(draft.touched, hit),
    )
