"""Gaussians that an edit adds: always the same number of rows, dead where not used."""

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float
from aw_jax.core.pytrees import replace
from aw_jax.dataengine.artifacts.subject import Draft
from aw_jax.splat.gaussians import DEAD_LOGIT, Splat, concatenate


def appended(
    draft: Draft, added: Splat, depth_offsets: Float[Array, " n"] | None = None
) -> Draft:
    """The draft followed by `added`, of any degree up to its own.

    Those of them that live count as touched.
    """
    degrees = draft.splat.sh.shape[1] - added.sh.shape[1]
    added = replace(added, sh=jnp.pad(added.sh, ((0, 0), (0, degrees), (0, 0))))
    alive = (added.logit_opacities > DEAD_LOGIT).astype(jnp.float32)
    if depth_offsets is None:
        depth_offsets = jnp.zeros(len(alive))
    return Draft(
        splat=concatenate([draft.splat, added]),
        touched=jnp.concatenate([draft.touched, alive]),
        depth_offsets=jnp.concatenate([draft.depth_offsets, depth_offsets]),
    )
