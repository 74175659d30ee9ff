"""The main job: from loaded photos to the splat that is handed out, and its figures."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, Key
from aw_jax.core.keys import named
from aw_jax.core.pytrees import replace
from aw_jax.metrics.frames import FrameMetricsConfig, frame_figures
from aw_jax.reconstruct import guard, views
from aw_jax.reconstruct.clips import RestoreClip
from aw_jax.reconstruct.closed_loop import LoopConfig, Outcome, Watch, run_loop
from aw_jax.reconstruct.config import ReconstructConfig
from aw_jax.reconstruct.guard import Verdict
from aw_jax.reconstruct.measure import comparable, mean_psnr
from aw_jax.splat import fit
from aw_jax.splat.fit_config import FitConfig
from aw_jax.splat.fit_state import FitState
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.initialize import scene_scale
from aw_jax.splat.rasterize import render
from aw_jax.splat.targets import Targets


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """What a fit starts from: points with colors, or a splat that exists already."""

    points: Float[np.ndarray, "p 3"] | None = None
    colors: Float[np.ndarray, "p 3"] | None = None
    splat: Splat | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a reconstruction ends with."""

    outcome: Outcome
    verdict: Verdict

    @property
    def final(self) -> Splat:
        """The splat that is handed out."""
        kept = self.verdict.kept
        return self.outcome.repaired if kept == "repaired" else self.outcome.baseline


def reconstruct(
    train: tuple[Targets, ...],
    start: Start,
    restore: RestoreClip,
    *,
    config: ReconstructConfig,
    key: Key[Array, ""],
    folder: Path,
    watch: Watch,
) -> Result:
    """Runs the closed loop and its guard; what `folder` holds is not done again.

    Args:
        train: photos of the training views. Test views never come here; `watch` may
            measure them, and is only told.
        start: what the fit starts from.
        restore: the restorer.
        config: all choices.
        key: the seed.
        folder: snapshots and clips, so that a killed run goes on.
        watch: progress and figures.
    """
    loop = config.loop
    outcome = _loop(
        train, start, restore, loop, config, named(key, "full"), folder / "full", watch
    )
    withheld = guard.withheld_views(views.count(train), config.guard)
    if not withheld:
        return Result(outcome=outcome, verdict=_weak_verdict(outcome, train, config))
    seen = [i for i in range(views.count(train)) if i not in withheld]
    probe = _loop(
        views.select(train, seen),
        start,
        restore,
        _shortened(loop, config.guard.probe_share),
        config,
        named(key, "probe"),
        folder / "probe",
        dataclasses.replace(watch, measure=None),
    )
    unseen = views.select(train, withheld)
    verdict = guard.judge_withheld(
        baseline_psnr=mean_psnr(probe.baseline, unseen),
        repaired_psnr=mean_psnr(probe.repaired, unseen),
    )
    return Result(outcome=outcome, verdict=verdict)


def _loop(
    train: tuple[Targets, ...],
    start: Start,
    restore: RestoreClip,
    loop: LoopConfig,
    config: ReconstructConfig,
    key: Key[Array, ""],
    folder: Path,
    watch: Watch,
) -> Outcome:
    fit_config = dataclasses.replace(config.fit, steps=loop.steps)
    frame = {"width": loop.width, "height": loop.height}
    return run_loop(
        initial_fit(
            start, train, fit_config, named(key, "start"), done=loop.base_steps
        ),
        train,
        views.anchors(train, **frame),
        restore,
        config=loop,
        fit_config=fit_config,
        key=key,
        folder=folder,
        watch=watch,
    )


def initial_fit(
    start: Start,
    train: Sequence[Targets],
    config: FitConfig,
    key: Key[Array, ""],
    *,
    done: int = 0,
) -> FitState:
    """A fit of no steps, or one that a finished splat has taken `done` steps ahead.

    The scene's scale is that of the training cameras.
    """
    scale = scene_scale(views.all_cameras(train, width=16, height=16))
    shared = {
        "scene_scale": scale,
        "config": config,
        "photos": views.count(train),
    }
    if start.splat is not None:
        state = fit.state_from_splat(start.splat, **shared)
        return replace(state, step=jnp.asarray(done, jnp.int32))
    assert start.points is not None, "a start has points or a splat"
    assert start.colors is not None, "points have colors"
    return fit.initial_state(start.points, start.colors, key=key, **shared)


def _shortened(loop: LoopConfig, share: float) -> LoopConfig:
    """The loop of the probe run: the same rounds at a share of the steps."""
    return dataclasses.replace(
        loop,
        base_steps=max(1, round(loop.base_steps * share)),
        round_steps=max(1, round(loop.round_steps * share)),
    )


def _weak_verdict(
    outcome: Outcome, train: tuple[Targets, ...], config: ReconstructConfig
) -> Verdict:
    alphas = [
        float(render(outcome.repaired, clip.cameras).alpha.mean())
        for clip, _ in outcome.clips
    ]
    return guard.judge_weakly(
        baseline_psnr=mean_psnr(outcome.baseline, train),
        repaired_psnr=mean_psnr(outcome.repaired, train),
        coverage=float(np.mean(alphas)) if alphas else 1.0,
        config=config.guard,
    )


def figures(
    splat: Splat, targets: Sequence[Targets], *, config: FrameMetricsConfig
) -> dict[str, float | None]:
    """Mean PSNR, SSIM and LPIPS over views, on frames in eight bits.

    What is masked of a view is taken as right, in its neighbours' windows too.
    """
    found = [frame for group in comparable(splat, targets) for frame in group]
    truths = [image for group in targets for image in np.asarray(group.images)]
    return frame_figures(found, truths, config=config).means()


def told(
    result: Result, test: Sequence[Targets], config: ReconstructConfig
) -> dict[str, Any]:
    """The figures of metrics.json that the loop's result gives."""
    steps = {"steps": config.loop.steps}
    baseline = figures(result.outcome.baseline, test, config=config.metrics)
    repaired = figures(result.outcome.repaired, test, config=config.metrics)
    final = repaired if result.verdict.kept == "repaired" else baseline
    return {
        "baseline": baseline | steps,
        "repaired": repaired | steps,
        "final": final | steps,
        "gain_db": _gain(final["psnr"], baseline["psnr"]),
        "guard": dataclasses.asdict(result.verdict),
        "rounds": result.outcome.rounds,
    }


def _gain(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or theirs is None else ours - theirs
