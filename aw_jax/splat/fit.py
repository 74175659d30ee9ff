"""Fits a splat to images by gradient descent: L = L_recon + lambda L_gen (Sec. 4.4).

A step renders the camera of one photo and, once a restorer has made some, of one
generated view. Between steps the schedule opens harmonics, adds and removes Gaussians,
and resets opacities. What a photo's exposure and pose hide may be learned with it.
Whatever step i draws comes from the key and i alone, so a fit that stops and goes on
ends in the same bits as one that does not.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core import keys
from aw_jax.core.arrays import Array, Float, Key
from aw_jax.core.errors import UserError
from aw_jax.splat import (
    capacity,
    corrections,
    densify,
    fit_step,
    initialize,
    mcmc,
    optimizer,
)
from aw_jax.splat.corrections import PhotoControls
from aw_jax.splat.fit_config import DensifyConfig, FitConfig, McmcConfig
from aw_jax.splat.fit_state import FitState
from aw_jax.splat.gaussians import Splat, take
from aw_jax.splat.targets import Targets
from aw_jax.splat.view_order import ViewOrder

CHECK_EVERY = 50
"""Steps sent to the device before the host looks at their losses."""


class FitDiverged(UserError):
    """The loss or a parameter is no longer a finite number."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """One finished step."""

    step: int
    """Counts from 0."""
    loss: float
    psnr: float
    """Of the photo that the step looked at, in dB, before it moved anything."""
    count: int
    """Living Gaussians."""


def initial_state(
    points: Float[Array | np.ndarray, "p 3"],
    colors: Float[Array | np.ndarray, "p 3"],
    *,
    scene_scale: float,
    config: FitConfig,
    key: Key[Array, ""],
    photos: int = 0,
) -> FitState:
    """A fit of no steps, from points (world units) with colors in [0, 1].

    `photos` is how many there will be, for the corrections that the fit may learn.

    Raises:
        UserError: no points, or more than `config.capacity`.
    """
    splat = initialize.from_points(
        points,
        colors,
        scene_scale=scene_scale,
        key=key,
        degree=config.sh_degree,
        opacity=config.init_opacity,
        size=config.init_scale,
    )
    return state_from_splat(
        splat, scene_scale=scene_scale, config=config, photos=photos
    )


def state_from_splat(
    splat: Splat, *, scene_scale: float, config: FitConfig, photos: int = 0
) -> FitState:
    """A fit of no steps that starts at `splat`; `photos` as in `initial_state`.

    Raises:
        UserError: no Gaussians, or more than `config.capacity`.
    """
    count = len(splat.means)
    name, most = _limit(config)
    if not 0 < count <= most:
        raise UserError(
            f"The fit would start from {count} Gaussians, expected 1 to "
            f"{name}={most}: raise the {name} or thin the points."
        )
    rows = config.rows(count)
    splat = initialize.padded(splat, rows)
    return FitState(
        splat=splat,
        alive=jnp.arange(rows) < count,
        moments=optimizer.zero_moments(splat),
        growth=densify.no_growth(rows),
        scene_scale=jnp.asarray(scene_scale, jnp.float32),
        step=jnp.zeros((), jnp.int32),
        photos=corrections.untouched(photos, config),
    )


def _limit(config: FitConfig) -> tuple[str, int]:
    """What bounds the number of Gaussians, and where."""
    cap = config.mcmc.cap if config.mcmc else None
    if cap is not None and cap < config.capacity:
        return "cap", cap
    return "capacity", config.capacity


def final_splat(state: FitState) -> Splat:
    """The living Gaussians."""
    return take(state.splat, state.alive)


def run(
    state: FitState,
    targets: Sequence[Targets],
    *,
    config: FitConfig,
    until: int,
    key: Key[Array, ""],
    pseudo: Sequence[Targets] = (),
    gen_weight: Callable[[int], float] | None = None,
    injections: tuple[int, ...] = (),
    on_step: Callable[[Progress], None] | None = None,
) -> FitState:
    """The fit after `until` steps; `state` itself stays as it is.

    Args:
        state: Where to go on from.
        targets: Photos, one `Targets` per image size.
        config: Its `steps` set the schedule; `until` says only where to stop.
        until: Finished steps at the end.
        key: The same for all parts of one fit.
        pseudo: Generated views, likewise; one of them joins every step.
        gen_weight: lambda of a step, 1 if None; a step of weight 0 is a plain one.
        injections: Steps at which views were added; densification reopens there.
        on_step: Told of every step, some dozens at a time.

    Raises:
        FitDiverged: a loss or a parameter is not finite.
        ValueError: the state was not begun for these photos.
    """
    state = jax.tree.map(_copy, state)  # a step eats the state it is given
    begin = int(state.step)
    photos = ViewOrder(targets, keys.named(key, "photos"), begin, until)
    _check_photos(state, config, len(photos))
    generated = ViewOrder(pseudo, keys.named(key, "pseudo"), begin, until)
    reports = []
    for step in range(begin, until):
        views, weights = (photos(step),), (1.0,)
        share = (gen_weight(step) if gen_weight else 1.0) if pseudo else 0.0
        if share:
            views, weights = (*views, generated(step)), (*weights, share)
        state, report = fit_step.step(
            state,
            views,
            _controls(config, step, key, weights, photos.index(step)),
            rates=config.rates,
            loss=config.loss,
            settings=config.render,
            chain=config.mcmc,
        )
        reports.append(report)
        if step + 1 == until or len(reports) == CHECK_EVERY:
            _tell(reports, step + 1, on_step)
            reports = []
        state = _maintain(state, step + 1, config, key, injections)
    return state


def _copy(x: Array) -> Array:
    """Its own buffer, of a dtype that does not bend to others: one compile for all."""
    return jnp.array(x, dtype=x.dtype, copy=True)


def _check_photos(state: FitState, config: FitConfig, count: int) -> None:
    wanted = jax.eval_shape(lambda: corrections.untouched(count, config))
    if jax.tree.map(jnp.shape, state.photos) != jax.tree.map(jnp.shape, wanted):
        raise ValueError(
            f"The fit's state does not correct {count} photos as its config asks: "
            f"begin it with photos={count} and the same correct_* fields."
        )


def _controls(
    config: FitConfig,
    step: int,
    key: Key[Array, ""],
    weights: tuple[float, ...],
    photo: int,
) -> fit_step.Controls:
    degree = min(config.timetable.degree(step), config.sh_degree)
    background = jnp.asarray(config.background, jnp.float32)
    drawn = lambda name: keys.named(keys.at_step(key, step), name)
    if config.random_background:
        background = jax.random.uniform(drawn("background"), (3,))
    return fit_step.Controls(
        means_factor=jnp.asarray(config.means_factor(step), jnp.float32),
        coefficients=jnp.asarray((degree + 1) ** 2, jnp.int32),
        background=background,
        weights=jnp.asarray(weights, jnp.float32),
        walk=drawn("walk") if config.mcmc else None,
        photo=_photo_controls(config, step, photo),
    )


def _photo_controls(config: FitConfig, step: int, photo: int) -> PhotoControls | None:
    if not config.corrects:
        return None
    return PhotoControls(
        index=jnp.asarray(photo, jnp.int32),
        exposures_rate=jnp.asarray(config.exposures_rate(step), jnp.float32),
        poses_rate=jnp.asarray(config.poses_rate(step), jnp.float32),
    )


def _maintain(
    state: FitState,
    done: int,
    config: FitConfig,
    key: Key[Array, ""],
    injections: tuple[int, ...],
) -> FitState:
    """Densification and opacity reset, where the schedule has them after `done`."""
    schedule, control = config.timetable, config.densify
    if control is not None and schedule.refines(done, injections):
        if config.first_capacity is not None:
            state = capacity.ready_to_refine(state, config)
        stream = keys.named(keys.at_step(key, done), "refine")
        state = _refined(state, stream, done > schedule.reset_every, control)
    if isinstance(control, DensifyConfig) and schedule.resets(done, injections):
        state = densify.reset_opacities(state, config=control)
    return state


def _refined(
    state: FitState,
    key: Key[Array, ""],
    oversized: bool,
    control: DensifyConfig | McmcConfig,
) -> FitState:
    if isinstance(control, McmcConfig):
        return mcmc.refine(state, key, config=control)
    return densify.refine(state, key, oversized=oversized, config=control)


def _tell(
    reports: list[fit_step.Report],
    done: int,
    on_step: Callable[[Progress], None] | None,
) -> None:
    """Hands finished steps on, and stops at the first that is not finite."""
    for step, report in enumerate(jax.device_get(reports), done - len(reports)):
        if not np.isfinite(report.loss + report.total):
            raise FitDiverged(
                f"The fit diverged at step {step} (loss {report.loss}): check the "
                "cameras for wild poses, or lower the learning rates."
            )
        if on_step:
            on_step(
                Progress(
                    step=step,
                    loss=float(report.loss),
                    psnr=float(report.psnr),
                    count=int(report.count),
                )
            )
