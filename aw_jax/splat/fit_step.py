"""One step of a fit, compiled once per combination of image sizes.

L = sum_i w_i L_i over the views of the step: a photo (w = 1: L_recon) and at times a
generated view (w = lambda: L_gen).
"""

import functools

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Int
from aw_jax.core.pytrees import pytree, replace
from aw_jax.images.psnr import psnr
from aw_jax.splat import optimizer
from aw_jax.splat.fit_config import LearningRates, LossConfig
from aw_jax.splat.fit_state import FitState, Growth
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.loss import completed, photometric
from aw_jax.splat.rasterize import RenderSettings, render
from aw_jax.splat.targets import Targets

Offsets = tuple[Float[Array, "1 g 2"], ...]


@pytree
class Controls:
    """What differs from step to step besides the views."""

    means_factor: Float[Array, ""]
    """Of the means' learning rate."""
    coefficients: Int[Array, ""]
    """Harmonics in use; the rest count as zero."""
    background: Float[Array, " 3"]
    """Color behind the splat, in [0, 1]."""
    weights: Float[Array, " v"]
    """Factor of every view's loss."""


@pytree
class Report:
    """What a step found before it moved anything."""

    loss: Float[Array, ""]
    psnr: Float[Array, ""]
    """Of the first view, in dB, over all pixels; unknown ones count as right."""
    count: Int[Array, ""]
    """Living Gaussians."""
    total: Float[Array, ""]
    """Sum of all parameters after the step: finite only if every one is."""


@pytree
class Seen:
    """What the renders of a step tell beside their loss."""

    psnr: Float[Array, ""]
    drawn: tuple[Float[Array, " g"], ...]
    """1 where a view drew the Gaussian, 0 elsewhere."""


@functools.partial(
    jax.jit, static_argnames=("rates", "loss", "settings"), donate_argnames="state"
)
def step(
    state: FitState,
    views: tuple[Targets, ...],
    controls: Controls,
    *,
    rates: LearningRates,
    loss: LossConfig,
    settings: RenderSettings,
) -> tuple[FitState, Report]:
    """Renders every view (one image each), and follows the gradient of their loss."""

    def objective(splat: Splat, offsets: Offsets) -> tuple[Float[Array, ""], Seen]:
        return _objective(splat, offsets, views, controls, loss, settings)

    offsets = tuple(jnp.zeros((1, len(state.alive), 2)) for _ in views)
    slope = jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)
    (value, seen), (gradient, pull) = slope(state.splat, offsets)
    sizes = optimizer.step_sizes(
        state.splat, rates, means=state.scene_scale * controls.means_factor
    )
    splat, moments = optimizer.adam(
        state.splat, gradient, state.moments, sizes, step=state.step
    )
    total = sum(jnp.sum(x) for x in jax.tree.leaves(splat))
    report = Report(
        loss=value, psnr=seen.psnr, count=jnp.sum(state.alive), total=jnp.asarray(total)
    )
    growth = _watch(state.growth, views, pull, seen, controls.weights)
    state = replace(
        state, splat=splat, moments=moments, growth=growth, step=state.step + 1
    )
    return state, report


def _objective(
    splat: Splat,
    offsets: Offsets,
    views: tuple[Targets, ...],
    controls: Controls,
    config: LossConfig,
    settings: RenderSettings,
) -> tuple[Float[Array, ""], Seen]:
    open_ = jnp.arange(splat.sh.shape[-2]) < controls.coefficients
    splat = replace(splat, sh=jnp.where(open_[:, None], splat.sh, 0))
    losses, drawn, quality = [], [], []
    for view, offset in zip(views, offsets, strict=True):
        rendering = render(
            splat,
            view.cameras,
            settings=settings,
            background=controls.background,
            screen_offsets=offset,
        )
        color, truth = rendering.color, view.images
        losses.append(photometric(color, truth, view.weights, config=config))
        color = completed(color, truth, view.weights)
        drawn.append((rendering.stats.radii[0] > 0).astype(jnp.float32))
        quality.append(psnr(color, truth)[0])
    value = jnp.sum(controls.weights * jnp.stack(losses))
    return value, Seen(psnr=quality[0], drawn=tuple(drawn))


def _watch(
    growth: Growth,
    views: tuple[Targets, ...],
    pull: Offsets,
    seen: Seen,
    weights: Float[Array, " v"],
) -> Growth:
    """Adds this step's pull on the projected means; `pull` is in loss per pixel."""
    gradient, visits = growth.gradient, growth.visits
    for view, force, drawn, weight in zip(
        views, pull, seen.drawn, weights, strict=True
    ):
        half = jnp.asarray([view.cameras.width / 2, view.cameras.height / 2])
        gradient = gradient + jnp.linalg.norm(force[0] * half, axis=-1)
        visits = visits + weight * drawn
    return Growth(gradient=gradient, visits=visits)
