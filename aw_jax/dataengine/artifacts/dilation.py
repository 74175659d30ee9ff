"""Dilation: too few Gaussians, and each of them too large.

Where densification stops early, in textureless regions and where depth is ambiguous,
the few Gaussians there are stretch until the photos are covered: shapeless blobs, large
beside what they should show, that spill over silhouettes (Sec. 3.1). A share of the
Gaussians of a region is dropped, and the survivors grow; a few of them, over-stretched,
lose their shape and become round.

    p = 10 % to 30 %   dropped (Sec. 3.2: 20 %, in the middle)
    r = 1.2 to 2.5     times larger, every survivor
    q = 1 % to 6 %     of the survivors are blobs: denser, `BLOB` times larger still
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Int, Key
from aw_jax.core.keys import named
from aw_jax.core.pytrees import replace
from aw_jax.dataengine.artifacts.regions import region
from aw_jax.dataengine.artifacts.strength import between
from aw_jax.dataengine.artifacts.subject import Draft, Subject
from aw_jax.geometry.cameras import centers
from aw_jax.splat.gaussians import DEAD_LOGIT

DROPPED = (0.10, 0.30)
GROWTH = (1.2, 2.5)
BLOBS = (0.01, 0.06)
BLOB = 4.0
LOGIT = 2.0
"""Added to the opacity's logit of a blob."""
LARGEST = 0.04
"""Standard deviation that growth stops at (of the distance from the clip's middle)."""


def edit(
    draft: Draft,
    subject: Subject,
    frame: Int[Array, ""] | int,
    severity: Float[Array, ""],
    key: Key[Array, ""],
) -> Draft:
    """Drops some Gaussians of a region and blows the others up."""
    del frame
    splat = draft.splat
    hit = region(subject, splat.means, named(key, "region")) & (severity > 0)
    lots = jax.random.uniform(named(key, "dropped"), hit.shape)
    dropped = lots < between(DROPPED, severity)
    blob = jax.random.uniform(named(key, "blobs"), hit.shape) < between(BLOBS, severity)
    logits = splat.logit_opacities + jnp.where(blob, LOGIT, 0.0)
    logits = jnp.where(dropped, DEAD_LOGIT, logits)
    largest = LARGEST * _distances(subject, splat.means)
    grown = _grown(splat.log_scales, blob, severity, largest)
    changed = dropped | blob | jnp.any(grown != splat.log_scales, axis=-1)
    return replace(
        draft,
        splat=replace(
            splat,
            log_scales=jnp.where(hit[:, None], grown, splat.log_scales),
            logit_opacities=jnp.where(hit, logits, splat.logit_opacities),
        ),
        touched=jnp.maximum(draft.touched, hit & changed),
    )


def _distances(subject: Subject, means: Float[Array, "g 3"]) -> Float[Array, " g"]:
    """From the middle of the clip's cameras (world units)."""
    middle = jnp.mean(centers(subject.cameras), axis=0)
    return jnp.linalg.norm(means - middle, axis=-1)


def _grown(
    log_scales: Float[Array, "g 3"],
    blob: Array,
    severity: Float[Array, ""],
    largest: Float[Array, " g"],
) -> Float[Array, "g 3"]:
    """Larger by r, up to `largest`; blobs are round, and larger by `BLOB` again."""
    round_ = jnp.max(log_scales, axis=-1, keepdims=True) + jnp.log(BLOB)
    shape = jnp.where(blob[:, None], round_, log_scales)
    grown = shape + jnp.log(between(GROWTH, severity))
    return jnp.maximum(log_scales, jnp.minimum(grown, jnp.log(largest)[:, None]))
