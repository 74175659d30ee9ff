"""Blurring: Gaussians wider than the detail that they should show.

Where densification stops early, or views disagree by a little, no primitive is small
enough for the texture: the optimiser widens those it has, and each becomes a low-pass
filter; the harmonics of a short fit are hardly opened. (Sec. 3.1.) A round Gaussian of
deviation b, added to each one's own, is that filter:

    s' = sqrt(s^2 + b^2)       b = p d / f, where d is the distance to the clip's path
    o' = 1 - (1 - o)^(A / A')  A, A' the area before and after: light stopped is kept
    h' = (1 - severity) h      of the harmonics above the constant one

    p = 0.8 % to 3 % of the picture's short side

Growth by a factor, 1.3 to 3.0 in splatting.md B3.2, gave blobs where Gaussians were
large already, which is dilation, and nothing where they were below a pixel.
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Int, Key
from aw_jax.core.keys import named
from aw_jax.core.pytrees import replace
from aw_jax.dataengine.artifacts.regions import region
from aw_jax.dataengine.artifacts.strength import between
from aw_jax.dataengine.artifacts.subject import Draft, Subject
from aw_jax.dataengine.artifacts.visibility import pixel_sizes, short_side

SPREAD = (0.008, 0.03)


def edit(
    draft: Draft,
    subject: Subject,
    frame: Int[Array, ""] | int,
    severity: Float[Array, ""],
    key: Key[Array, ""],
) -> Draft:
    """Widens the Gaussians of a region; the same in every frame."""
    del frame
    splat = draft.splat
    pixels = between(SPREAD, severity) * short_side(subject.cameras)
    spread = pixels * pixel_sizes(subject.cameras, splat.means)
    hit = region(subject, splat.means, named(key, "region")) & (severity > 0)
    scales, logits = widened(splat.log_scales, splat.logit_opacities, spread)
    dimmed = splat.sh.at[:, 1:].multiply(1 - severity)
    return replace(
        draft,
        splat=replace(
            splat,
            log_scales=jnp.where(hit[:, None], scales, splat.log_scales),
            logit_opacities=jnp.where(hit, logits, splat.logit_opacities),
            sh=jnp.where(hit[:, None, None], dimmed, splat.sh),
        ),
        touched=jnp.maximum(draft.touched, hit),
    )


def widened(
    log_scales: Float[Array, "g 3"],
    logit_opacities: Float[Array, " g"],
    spread: Float[Array, " g"],
) -> tuple[Float[Array, "g 3"], Float[Array, " g"]]:
    """Scales and opacities of Gaussians blurred by `spread` (world units).

    A Gaussian's area is the product of its two larger deviations: the third is the
    thickness of a surface.
    """
    wide = 0.5 * jnp.logaddexp(2 * log_scales, 2 * jnp.log(spread)[:, None])
    grown = wide - log_scales
    order = jnp.argsort(log_scales, axis=-1)
    share = jnp.exp(-jnp.sum(jnp.take_along_axis(grown, order[:, 1:], -1), axis=-1))
    passed = -share * jax.nn.softplus(logit_opacities)
    return wide, jnp.log(-jnp.expm1(passed)) - passed
