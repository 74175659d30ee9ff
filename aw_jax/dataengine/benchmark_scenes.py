"""The clips that one procedural world gives the benchmark.

A clip that the gate refuses is drawn again, on another course and milder or harsher; a
scene that cannot give one of its clips gives none. A frozen clip is drawn once, as its
manifest says, and no gate is asked: on another platform it might decide otherwise.
"""

import dataclasses
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from aw_jax.core.keys import at_step, named
from aw_jax.data.clips import ClipRecord
from aw_jax.dataengine.benchmark import BenchmarkConfig, PlannedClip
from aw_jax.dataengine.benchmark_job import Made
from aw_jax.dataengine.breaking_routes import tried
from aw_jax.dataengine.courses import passing
from aw_jax.dataengine.places import Dense, Place, densely, featured, open_place
from aw_jax.dataengine.plan import PlanConfig, route_of
from aw_jax.dataengine.simulation_config import SimulationConfig
from aw_jax.dataengine.sources import ProceduralScene
from aw_jax.dataengine.stages import Stages
from aw_jax.splat.fit import FitDiverged

SCENES = SimulationConfig(
    frames=25,
    width=96,
    height=96,
    clean="fit",
    paths=0,
    broken=1,
    plan=PlanConfig(attempts=8),
)
"""Clean is the dense fit's render, so that the artifacts alone are what is wrong; 25
frames, as the models of `configs/ltx_tiny` take."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkRunConfig:
    """All that decides what the benchmark holds."""

    plan: BenchmarkConfig = BenchmarkConfig()
    scenes: SimulationConfig = SCENES
    """Its `plan` gives attempts and how they change; `paths` and `broken` say nothing
    here."""


def scene_clips(
    seed: int,
    planned: Sequence[PlannedClip],
    draws: Mapping[str, int] | None,
    *,
    config: SimulationConfig,
) -> Made:
    """All planned clips of a world, or none (`benchmark_job.Make`)."""
    place, refused = open_place(ProceduralScene(seed=seed), config), Counter[str]()
    try:
        key = jax.random.key(seed)
        dense = densely(place, None, config, key=key, stages=Stages())
    except FitDiverged:
        return Made(clips=[], refused=Counter({"fit diverged": 1}))
    if draws is None and not dense.psnr >= config.least_fidelity:
        return Made(clips=[], refused=Counter({"dense fit too poor": 1}))
    place, found = featured(place, dense.views), []
    for clip in planned:
        if draws is not None:
            made, _ = _drawn(place, dense, clip, draws[clip.name], config)
        else:
            made = _chosen(place, dense, clip, config, refused)
        if made is None:
            return Made(clips=[], refused=refused)
        found.append(made)
    return Made(clips=found, refused=refused)


def _chosen(
    place: Place,
    dense: Dense,
    clip: PlannedClip,
    config: SimulationConfig,
    refused: Counter[str],
) -> ClipRecord | None:
    """The first draw that passes the gate."""
    own = Counter[str]()
    for draw in range(config.plan.attempts):
        asked = dataclasses.replace(
            clip, severities=eased(clip.severities, own, config.plan.gentler)
        )
        made, reason = _drawn(place, dense, asked, draw, config)
        if reason is None:
            return made
        refused[reason] += 1
        own[reason] += 1
    return None


def eased(
    severities: dict[str, float], refused: Counter[str], gentler: float
) -> dict[str, float]:
    """Nearer to 0 for every draw that was too broken, to 1 for every hardly broken."""
    low = gentler ** (refused["too broken"] + refused["not covered"])
    high = gentler ** refused["hardly broken"]
    return {n: round(1 - (1 - low * x) * high, 4) for n, x in severities.items()}


def _drawn(
    place: Place, dense: Dense, clip: PlannedClip, draw: int, config: SimulationConfig
) -> tuple[ClipRecord, str | None]:
    """One draw of a clip, and why the gate refuses it, if it does."""
    name = zlib.crc32(clip.name.encode())
    rng = np.random.default_rng([place.number, 4, name, draw])
    course = passing(dense.views, rng, frames=config.frames)
    key = at_step(named(jax.random.key(place.number), clip.name), draw)
    made, reason = tried(
        place, dense, course, clip.severities, key, config=config, stages=Stages()
    )
    notes = place.notes | course.notes | made.notes | _asked(clip, draw, dense, config)
    return dataclasses.replace(made, notes=notes), reason


def _asked(
    clip: PlannedClip, draw: int, dense: Dense, config: SimulationConfig
) -> dict[str, Any]:
    return {
        "name": clip.name,
        "route": route_of(tuple(clip.severities)),
        "clean": config.clean,
        "types": list(clip.severities),
        "severities": clip.severities,
        "draw": draw,
        "fidelity": round(dense.psnr, 3),
        "gaussians": len(dense.splat.means),
    }
