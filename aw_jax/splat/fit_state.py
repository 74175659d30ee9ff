"""Everything a fit carries from step to step; saving it saves the fit."""

from aw_jax.core.arrays import Array, Bool, Float, Int
from aw_jax.core.pytrees import pytree
from aw_jax.splat.corrections import PhotoState
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.optimizer import Moments


@pytree
class Growth:
    """What densification has seen since it last acted."""

    gradient: Float[Array, " g"]
    """Sum of |dL/dmean| on the screen, an image being 2 wide and 2 high."""
    visits: Float[Array, " g"]
    """Renders that drew the Gaussian, each with its weight in the loss."""


@pytree
class FitState:
    """A fit at rest."""

    splat: Splat
    """Living Gaussians and dead rows, which are never drawn."""
    alive: Bool[Array, " g"]
    moments: Moments
    growth: Growth
    scene_scale: Float[Array, ""]
    """World units; enters learning rates and thresholds, never coordinates."""
    step: Int[Array, ""]
    """Finished steps."""
    photos: PhotoState | None = None
    """Corrections of the training photos, where the fit learns any."""
