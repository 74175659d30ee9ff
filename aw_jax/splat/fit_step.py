"""One step of a fit, compiled once per combination of image sizes.

L = sum_i w_i L_i over the views of the step: a photo (w = 1: L_recon) and at times a
generated view (w = lambda: L_gen).
"""

import functools

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Int, Key
from aw_jax.core.pytrees import pytree, replace
from aw_jax.images.psnr import psnr
from aw_jax.splat import corrections, mcmc, optimizer
from aw_jax.splat.corrections import Corrections, PhotoControls
from aw_jax.splat.fit_config import LearningRates, LossConfig, McmcConfig
from aw_jax.splat.fit_state import FitState, Growth
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.loss import completed, photometric
from aw_jax.splat.rasterize import RenderSettings, render
from aw_jax.splat.targets import Targets

Offsets = tuple[Float[Array, "1 g 2"], ...]
Exposures = tuple[Float[Array, "3 4"] | None, ...]


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
    walk: Key[Array, ""] | None = None
    """Draws the noise of a Markov chain."""
    photo: PhotoControls | None = None
    """Of the first view, where photos are corrected."""


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
    jax.jit,
    static_argnames=("rates", "loss", "settings", "chain"),
    donate_argnames="state",
)
def step(
    state: FitState,
    views: tuple[Targets, ...],
    controls: Controls,
    *,
    rates: LearningRates,
    loss: LossConfig,
    settings: RenderSettings,
    chain: McmcConfig | None = None,
) -> tuple[FitState, Report]:
    """Renders every view (one image each), and follows the gradient of their loss."""
    scale = state.scene_scale

    def objective(
        splat: Splat, offsets: Offsets, learned: Corrections | None
    ) -> tuple[Float[Array, ""], Seen]:
        taken, exposures = _corrected(views, learned, controls.photo, scale)
        value, seen = _objective(
            splat, offsets, taken, exposures, controls, loss, settings
        )
        if chain is not None:
            value += mcmc.tax(splat, state.alive, scene_scale=scale, config=chain)
        return value, seen

    offsets = tuple(jnp.zeros((1, len(state.alive), 2)) for _ in views)
    learned = None if state.photos is None else state.photos.corrections
    slope = jax.value_and_grad(objective, argnums=(0, 1, 2), has_aux=True)
    (value, seen), (gradient, pull, missed) = slope(state.splat, offsets, learned)
    growth = _watch(state.growth, views, pull, seen, controls.weights)
    count = jnp.sum(state.alive)
    state = _followed(state, gradient, missed, controls, rates, chain)
    total = sum(jnp.sum(x) for x in jax.tree.leaves(state.splat))
    report = Report(loss=value, psnr=seen.psnr, count=count, total=jnp.asarray(total))
    return replace(state, growth=growth, step=state.step + 1), report


def _followed(
    state: FitState,
    gradient: Splat,
    missed: Corrections | None,
    controls: Controls,
    rates: LearningRates,
    chain: McmcConfig | None,
) -> FitState:
    """Adam on all that is learned, and then a chain's random step."""
    scale, photos = state.scene_scale, state.photos
    sizes = optimizer.step_sizes(
        state.splat, rates, means=scale * controls.means_factor
    )
    splat, moments = optimizer.adam(
        state.splat, gradient, state.moments, sizes, step=state.step
    )
    if chain is not None:
        splat = _walked(splat, state, controls, rates, chain)
    if photos is not None and missed is not None and controls.photo is not None:
        photos = corrections.followed(
            photos, missed, controls.photo, rates=rates, step=state.step
        )
    return replace(state, splat=splat, moments=moments, photos=photos)


def _corrected(
    views: tuple[Targets, ...],
    learned: Corrections | None,
    photo: PhotoControls | None,
    scene_scale: Float[Array, ""],
) -> tuple[tuple[Targets, ...], Exposures]:
    """The views from where they were taken, and with which exposure, if it is known."""
    rest = (None,) * (len(views) - 1)
    if learned is None or photo is None:
        return views, (None, *rest)
    own, first = corrections.of_photo(learned, photo.index), views[0]
    if own.motions is not None:
        cameras = corrections.moved(first.cameras, own.motions, scene_scale=scene_scale)
        first = replace(first, cameras=cameras)
    return (first, *views[1:]), (own.exposures, *rest)


def _walked(
    splat: Splat,
    state: FitState,
    controls: Controls,
    rates: LearningRates,
    chain: McmcConfig,
) -> Splat:
    """The random step of a Markov chain, scaled as in a scene of scale 1."""
    assert controls.walk is not None, "a chain draws its steps"
    return mcmc.walked(
        splat,
        state.alive,
        controls.walk,
        size=chain.noise * rates.means * controls.means_factor / state.scene_scale,
        min_opacity=chain.min_opacity,
    )


def _objective(
    splat: Splat,
    offsets: Offsets,
    views: tuple[Targets, ...],
    exposures: Exposures,
    controls: Controls,
    config: LossConfig,
    settings: RenderSettings,
) -> tuple[Float[Array, ""], Seen]:
    losses, drawn, quality = [], [], []
    for view, offset, exposure in zip(views, offsets, exposures, strict=True):
        rendering = render(
            splat,
            view.cameras,
            settings=settings,
            background=controls.background,
            screen_offsets=offset,
            harmonics=controls.coefficients,
        )
        color, truth = rendering.color, view.images
        if exposure is not None:
            color = corrections.exposed(color, exposure)
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
