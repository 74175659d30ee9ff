"""Routes (b) and (c): a dense fit, broken as the plan says.

A clip that the gate refuses is tried again with the same types, on another course and
at other severities; after `plan.attempts` it is given up and counted for its types.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from aw_jax.core.arrays import Array, Key
from aw_jax.core.keys import at_step, named
from aw_jax.data.clips import ClipRecord
from aw_jax.dataengine.artifacts.breaking import Broken, broken_clip
from aw_jax.dataengine.artifacts.subject import subject
from aw_jax.dataengine.courses import Course, passing
from aw_jax.dataengine.gate import figures, refusal
from aw_jax.dataengine.optimisation_route import Truth, measured
from aw_jax.dataengine.places import Dense, Place, truth
from aw_jax.dataengine.plan import PlanConfig, route_of, severities
from aw_jax.dataengine.simulation_config import SimulationConfig
from aw_jax.dataengine.stages import Stages
from aw_jax.images.quantise import quantise


def broken(
    place: Place,
    dense: Dense,
    *,
    config: SimulationConfig,
    refused: Counter[str],
    given_up: Counter[str],
    stages: Stages,
) -> Iterator[ClipRecord]:
    """The clips of a place; refused attempts and the types given up are counted."""
    for index in range(config.broken):
        number = place.number * config.broken + index
        clip = _clip(place, dense, number, config, refused, stages)
        if clip is None:
            given_up.update(severities(number, config.plan).keys())
        else:
            yield clip


def clip_key(clip: int, attempt: int, plan: PlanConfig) -> Key[Array, ""]:
    """Of everything random in one attempt at a clip."""
    key = named(jax.random.key(plan.seed), "broken")
    return at_step(at_step(key, clip), attempt)


def _clip(
    place: Place,
    dense: Dense,
    number: int,
    config: SimulationConfig,
    refused: Counter[str],
    stages: Stages,
) -> ClipRecord | None:
    """The first attempt that passes the gate."""
    plan, own = config.plan, Counter[str]()
    for attempt in range(plan.attempts):
        asked = severities(
            number,
            plan,
            attempt=attempt,
            broken=own["too broken"] + own["not covered"],
            hardly=own["hardly broken"],
        )
        rng = np.random.default_rng([plan.seed, 3, number, attempt])
        course = passing(dense.views, rng, frames=config.frames)
        key = clip_key(number, attempt, plan)
        clip, reason = tried(
            place, dense, course, asked, key, config=config, stages=stages
        )
        if reason is None:
            notes = place.notes | course.notes | clip.notes
            notes |= _planned(number, attempt, asked, dense, config)
            return ClipRecord(
                clean=clip.clean, artifact=clip.artifact, mask=clip.mask, notes=notes
            )
        refused[reason] += 1
        own[reason] += 1
    return None


def tried(
    place: Place,
    dense: Dense,
    course: Course,
    asked: dict[str, float],
    key: Key[Array, ""],
    *,
    config: SimulationConfig,
    stages: Stages,
) -> tuple[ClipRecord, str | None]:
    """The clip along a course, broken as asked, and why the gate refuses it, if so."""
    with stages("render"):
        found = subject(dense.splat, course.cameras, dense.views)
        made = broken_clip(found, asked, key)
    clean, depth = found.clean.color, found.clean.depth
    if config.clean == "scene":
        with stages("truth"):
            clean, depth = jax.block_until_ready(
                truth(place, dense, course.cameras, config)
            )
    seen = Truth(course=course, clean=clean, depth=depth)
    with stages("gate"):
        return _gated(made, seen, config)


def _gated(
    made: Broken, seen: Truth, config: SimulationConfig
) -> tuple[ClipRecord, str | None]:
    """The pair, and why it is refused, if it is."""
    clean = np.asarray(quantise(seen.clean))
    found = figures(
        clean.astype(np.float32) / 255,
        made.frames.astype(np.float32) / 255,
        alpha=made.alpha,
        depth=np.asarray(seen.depth),
        cameras=seen.course.cameras,
    )
    notes = measured(found) | {"mask_kind": made.mask_kind}
    clip = ClipRecord(clean=clean, artifact=made.frames, mask=made.mask, notes=notes)
    return clip, refusal(found, config.gate)


def _planned(
    number: int,
    attempt: int,
    asked: dict[str, float],
    dense: Dense,
    config: SimulationConfig,
) -> dict[str, Any]:
    """What was asked for, and of which fit."""
    return {
        "route": route_of(tuple(asked)),
        "clean": config.clean,
        "types": list(asked),
        "severities": asked,
        "clip": number,
        "attempt": attempt,
        "seed": config.plan.seed,
        "fidelity": round(dense.psnr, 3),
        "gaussians": len(dense.splat.means),
    }
