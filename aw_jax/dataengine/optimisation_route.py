"""Route (a), the optimisation stage: clips of a sparse fit, looked at early and late.

Nothing is known of how badly such a clip is broken: its severities are null, and its
labels are measured against what is clean.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator

import jax
import numpy as np

from aw_jax.core.arrays import Array, Float, Key
from aw_jax.data.clips import ClipRecord
from aw_jax.dataengine.artifacts.breaking import difference_mask
from aw_jax.dataengine.courses import Course, guided, stretches, walked
from aw_jax.dataengine.gate import ClipFigures, GateConfig, figures, refusal
from aw_jax.dataengine.places import Dense, Place, look, truth
from aw_jax.dataengine.simulation_config import SimulationConfig
from aw_jax.dataengine.sparse_fit import SparseCapture, snapshots
from aw_jax.dataengine.stages import Stages
from aw_jax.images.quantise import quantise
from aw_jax.splat.gaussians import Splat

ROUTE = "optimisation stage"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Truth:
    """What is really seen along a course."""

    course: Course
    clean: Float[Array, "f h w 3"]
    depth: Float[Array, "f h w"]


def optimised(
    place: Place,
    seen: SparseCapture,
    dense: Dense | None,
    rng: np.random.Generator,
    *,
    config: SimulationConfig,
    key: Key[Array, ""],
    refused: Counter[str],
    stages: Stages,
) -> Iterator[ClipRecord]:
    """The clips that pass the gate; the others are counted in `refused`.

    Raises:
        FitDiverged: the sparse fit left the finite numbers.
    """
    found = list(_paths(place, seen, dense, rng, config, stages))
    views = len(seen.cameras.intrinsics)
    fitted = snapshots(seen, config=config.sparse, key=key)
    while True:
        with stages("fit"):
            steps, splat = jax.block_until_ready(next(fitted, (0, None)))
        if splat is None:
            return
        for number, path in enumerate(found):
            clip, reason = _clip(splat, path, config.gate, stages)
            if reason:
                refused[reason] += 1
                continue
            notes = place.notes | path.course.notes | clip.notes
            notes |= {"route": ROUTE, "clean": config.clean, "severities": None}
            notes |= {"views": views, "moved": list(seen.moved), "path": number}
            notes |= {"fit_steps": seen.steps, "steps": steps}
            yield dataclasses.replace(clip, notes=notes)


def _paths(
    place: Place,
    seen: SparseCapture,
    dense: Dense | None,
    rng: np.random.Generator,
    config: SimulationConfig,
    stages: Stages,
) -> Iterator[Truth]:
    """Courses of either kind, with the truth rendered along them."""
    for course in courses(seen, rng, config):
        with stages("truth"):
            clean, depth = jax.block_until_ready(
                truth(place, dense, course.cameras, config)
            )
        yield Truth(course=course, clean=clean, depth=depth)


def courses(
    seen: SparseCapture, rng: np.random.Generator, config: SimulationConfig
) -> Iterator[Course]:
    """Along the walk while it has stretches left, else as the closed loop goes.

    A dense fit knows the walk alone: where it is what is clean, no course leaves it.
    """
    frames = config.frames
    left = list(rng.permutation(stretches(seen, frames=frames)))
    for _ in range(config.paths):
        if config.clean == "fit":
            stretch = int(rng.integers(stretches(seen, frames=frames)))
            yield walked(seen, stretch, rng, frames=frames)
        elif left and rng.uniform() < config.walked:
            yield walked(seen, int(left.pop()), rng, frames=frames)
        else:
            yield guided(
                seen,
                rng,
                frames=frames,
                rounds=config.rounds,
                config=config.trajectory,
            )


def _clip(
    splat: Splat, path: Truth, gate: GateConfig, stages: Stages
) -> tuple[ClipRecord, str | None]:
    """The pair seen along a path, and why it is refused, if it is."""
    with stages("render"):
        color, alpha, _ = jax.block_until_ready(look(splat, path.course.cameras))
    with stages("gate"):
        clean, artifact = (np.asarray(quantise(x)) for x in (path.clean, color))
        found = figures(
            clean.astype(np.float32) / 255,
            artifact.astype(np.float32) / 255,
            alpha=np.asarray(alpha),
            depth=np.asarray(path.depth),
            cameras=path.course.cameras,
        )
        mask = difference_mask(clean, artifact)
    notes = measured(found) | {"mask_kind": "difference"}
    clip = ClipRecord(clean=clean, artifact=artifact, mask=mask, notes=notes)
    return clip, refusal(found, gate)


def measured(found: ClipFigures) -> dict[str, object]:
    """The clip's figures, rounded."""
    return {
        "psnr": round(float(found.psnr.mean()), 3),
        "frame_psnr": [round(float(x), 2) for x in found.psnr],
        "coverage": round(found.coverage, 4),
        "motion": round(found.motion, 3),
    }
