"""The closed loop (Sec. 4.4): fit, render, restore, distil, round after round.

    L = L_recon + lambda L_gen   (Eq. 4),   both 0.8 L1 + 0.2 L_SSIM   (Eq. 5)

Baseline and repaired splat start from the same base fit and take the same number of
further steps with the same schedule and seed; they differ in L_gen alone.
"""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from aw_jax.core.arrays import Array, Key
from aw_jax.core.keys import at_step, named
from aw_jax.geometry.trajectories import reference_trajectories
from aw_jax.reconstruct.branch import fit_to
from aw_jax.reconstruct.clip_files import load_clip, save_clip
from aw_jax.reconstruct.clips import (
    RenderedClip,
    RestoreClip,
    RestoredClip,
    ScreenConfig,
    faults,
    pseudo_targets,
    render_clip,
    without_masked,
)
from aw_jax.reconstruct.views import Anchors
from aw_jax.splat import fit
from aw_jax.splat.fit_config import FitConfig
from aw_jax.splat.fit_state import FitState
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.targets import Targets


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long to fit and how often to generate."""

    base_steps: int = 7_000
    """Steps on photos alone, before the first round."""
    rounds: int = 3
    round_steps: int = 7_000
    """Steps after each generation."""
    clips: int = 4
    """Trajectories a round."""
    frames: int = 49
    """Frames of a clip, 8 m + 1."""
    width: int = 704
    height: int = 480
    gen_weight: float = 1.0
    """lambda of Eq. 4."""
    ramp: Literal["constant", "sine"] = "constant"
    """`sine` lets lambda rise from 0 and fall back over the generative steps."""
    trailing: int = 8
    """Frames at the end of a clip that are not distilled: k of Eq. 1."""
    screen: ScreenConfig = ScreenConfig()
    save_every: int = 500
    """Steps between snapshots."""

    def __post_init__(self) -> None:
        if self.frames < 9 or self.frames % 8 != 1:
            raise ValueError(
                f"LoopConfig.frames must be 8 n + 1 and at least 9, got {self.frames}."
            )

    @property
    def steps(self) -> int:
        """Steps of either branch in all."""
        return self.base_steps + self.rounds * self.round_steps


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """Both branches at their end, and what happened on the way."""

    baseline: Splat
    repaired: Splat
    rounds: list[dict[str, Any]]
    clips: list[tuple[RenderedClip, RestoredClip]]
    """Of the last round, refused ones included."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Watch:
    """How the loop tells what it does; it never learns anything from this."""

    phase: Callable[[str], Any]
    """Context manager around a phase: base fit, render, restore, distil."""
    on_step: Callable[[fit.Progress], None] | None = None
    measure: Callable[[Splat], dict[str, float | None]] | None = None
    """Figures of a splat, noted for the curve over rounds."""


def gen_weight(step: int, config: LoopConfig) -> float:
    """Lambda of Eq. 4 at a step."""
    if config.ramp == "constant":
        return config.gen_weight
    done = (step - config.base_steps) / (config.steps - config.base_steps)
    return config.gen_weight * math.sin(math.pi * done)


def run_loop(
    state: FitState,
    targets: tuple[Targets, ...],
    anchors: Anchors,
    restore: RestoreClip,
    *,
    config: LoopConfig,
    fit_config: FitConfig,
    key: Key[Array, ""],
    folder: Path,
    watch: Watch,
) -> Outcome:
    """Runs both branches; what stands in `folder` already is not done again.

    Args:
        state: the fit before its first step.
        targets: photos of the training views, and of these only.
        anchors: the same views framed for the restorer.
        restore: the restorer.
        config: lengths and rounds.
        fit_config: the fit's own choices, with `config.steps` as its length.
        key: seed of both branches.
        folder: snapshots and clips.
        watch: progress and figures.
    """
    shared = {
        "config": fit_config,
        "save_every": config.save_every,
        "on_step": watch.on_step,
        "key": named(key, "fit"),
    }
    with watch.phase("base fit"):
        base = fit_to(
            state, targets, until=config.base_steps, folder=folder / "base", **shared
        )
    baseline = repaired = base
    rounds, clips = [], []
    for index in range(config.rounds):
        place = folder / f"round{index}"
        until = config.base_steps + (index + 1) * config.round_steps
        clips = make_clips(
            fit.final_splat(repaired),
            anchors,
            restore,
            index=index,
            config=config,
            key=at_step(named(key, "round"), index),
            folder=place,
            watch=watch,
        )
        injections = tuple(
            config.base_steps + past * config.round_steps for past in range(index + 1)
        )
        found = [faults(*clip, config.screen) for clip in clips]
        kept = [clip for clip, fault in zip(clips, found, strict=True) if not fault]
        with watch.phase("baseline"):
            baseline = fit_to(
                baseline,
                targets,
                until=until,
                folder=place / "baseline",
                injections=injections,
                **shared,
            )
        with watch.phase("distil"):
            repaired = fit_to(
                repaired,
                targets,
                until=until,
                folder=place / "repaired",
                pseudo=pseudo_targets(kept, trailing=config.trailing),
                gen_weight=lambda step: gen_weight(step, config),
                injections=injections,
                **shared,
            )
        rounds.append(_told(index, until, found, baseline, repaired, watch))
    return Outcome(
        baseline=fit.final_splat(baseline),
        repaired=fit.final_splat(repaired),
        rounds=rounds,
        clips=clips,
    )


def make_clips(
    splat: Splat,
    anchors: Anchors,
    restore: RestoreClip,
    *,
    index: int,
    config: LoopConfig,
    key: Key[Array, ""],
    folder: Path,
    watch: Watch,
) -> list[tuple[RenderedClip, RestoredClip]]:
    """Renders and restores the clips of one round."""
    paths = reference_trajectories(
        anchors.cameras,
        count=config.clips,
        frames=config.frames,
        round=index,
        key=named(key, "paths"),
    )
    clips = []
    for number, path in enumerate(paths):
        file = folder / f"clip{number}.npz"
        if not file.exists():
            with watch.phase("render"):
                clip = render_clip(
                    splat,
                    path.cameras,
                    first=anchors.photos[path.start],
                    last=anchors.photos[path.end],
                )
                if anchors.masked is not None:
                    hidden = anchors.masked[path.start], anchors.masked[path.end]
                    clip = without_masked(clip, *hidden)
            with watch.phase("restore"):
                restored = restore(clip, at_step(key, number))
            save_clip(file, clip, restored)
        clips.append(load_clip(file))
    return clips


def _told(
    index: int,
    until: int,
    found: list[dict[str, float]],
    baseline: FitState,
    repaired: FitState,
    watch: Watch,
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "round": index,
        "steps": until,
        "clips": len(found),
        "refused": [
            {"clip": number, **fault} for number, fault in enumerate(found) if fault
        ],
    }
    if watch.measure is not None:
        told["baseline"] = watch.measure(fit.final_splat(baseline))
        told["repaired"] = watch.measure(fit.final_splat(repaired))
    return told
