"""Pairs of clean and broken clips, from scenes to shards: a job that can be resumed.

A unit of work is a chunk of scenes; it ends in one shard of clip records and, beside
it, an index with one JSON line per clip and a contact sheet. Each appears whole or not
at all, the shard last, so a unit whose shard exists is finished. What a unit holds
depends on its scenes and the config alone: killed and started again, shared among
processes or spread over a cluster, the job makes the same bytes.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from aw_jax.core.errors import UserError
from aw_jax.data.clips import ClipRecord
from aw_jax.dataengine import shards, sources
from aw_jax.dataengine.breaking_routes import broken
from aw_jax.dataengine.optimisation_route import ROUTE, optimised
from aw_jax.dataengine.places import Place, densely, featured, open_place, sparse
from aw_jax.dataengine.simulation_config import DEFAULT, SimulationConfig, check
from aw_jax.dataengine.sources import SceneSource
from aw_jax.dataengine.stages import Stages
from aw_jax.splat.fit import FitDiverged

__all__ = [
    "ROUTE",
    "Outcome",
    "SimulationConfig",
    "make_unit",
    "remake",
    "simulate",
    "simulate_scene",
]

Told = Callable[[int, int, dict[str, Any]], None]
Unit = tuple[SceneSource, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one scene."""

    clips: list[ClipRecord]
    refused: Counter
    """Clips, and attempts at clips, by the reason why they are not kept."""
    given_up: Counter = dataclasses.field(default_factory=Counter)
    """Planned clips without an attempt that passed, by artifact type."""
    failure: str | None = None
    """Why the scene could not be read, or has no more clips."""


def simulate(
    scenes: Sequence[SceneSource | int],
    folder: str | Path,
    *,
    config: SimulationConfig = DEFAULT,
    share: tuple[int, int] = (0, 1),
    told: Told = lambda done, total, last: None,
    stages: Stages | None = None,
) -> dict[str, Any]:
    """Makes the clips of all scenes; what stands in `folder` already is kept.

    Args:
        scenes: A seed stands for its procedural world; chunks of `scenes_per_shard`
            are units.
        folder: Gets clips-*.arrayrecord, .jsonl and .png and, once every unit is there,
            index.jsonl.
        config: The clips.
        share: (i, n): this process makes every n-th unit, from the i-th on.
        told: Called with units done, units in all and the last unit's summary.
        stages: Where the time that passes is counted.

    Returns:
        The summary of all units that are finished so far.

    Raises:
        UserError: no scenes, scenes that do not go with the config, a full disk.
    """
    units, folder = units_of(scenes, config), Path(folder)
    mine = units[share[0] :: share[1]]
    for done, unit in enumerate(mine):
        if not shards.path_of(folder, unit).exists():
            last = make_unit(unit, folder, config, stages or Stages())
            told(done, len(mine), last)
    told(len(mine), len(mine), {})
    return shards.join(folder, units)


def units_of(
    scenes: Sequence[SceneSource | int], config: SimulationConfig
) -> list[Unit]:
    """The units of a run.

    Raises:
        UserError: no scenes, or scenes that do not go with the config.
    """
    found = list(map(sources.as_source, scenes))
    check(found, config)
    return sources.units(found, config.scenes_per_shard)


def make_unit(
    unit: Unit, folder: Path, config: SimulationConfig, stages: Stages | None = None
) -> dict[str, Any]:
    """Simulates the scenes of a unit and writes what comes out; its summary."""
    stages = stages or Stages()
    outcomes = [simulate_scene(scene, config=config, stages=stages) for scene in unit]
    refused, given_up = Counter(), Counter()
    for outcome in outcomes:
        refused += outcome.refused
        given_up += outcome.given_up
    failed = {
        scene.stem: outcome.failure
        for scene, outcome in zip(unit, outcomes, strict=True)
        if outcome.failure
    }
    summary = {
        "scenes": len(unit),
        "refused": dict(sorted(refused.items())),
        "given_up": dict(sorted(given_up.items())),
        "failed": failed,
    }
    with stages("write"):
        kept = [clip for outcome in outcomes for clip in outcome.clips]
        return shards.write(shards.path_of(folder, unit), kept, summary)


def simulate_scene(
    scene: SceneSource | int, *, config: SimulationConfig, stages: Stages | None = None
) -> Outcome:
    """All clips of one scene that pass the gate."""
    source = sources.as_source(scene)
    outcome = Outcome(clips=[], refused=Counter(), given_up=Counter())
    try:
        place = open_place(source, config)
    except UserError as error:
        outcome.refused["scene cannot be read"] += 1
        return dataclasses.replace(outcome, failure=str(error))
    try:
        for clip in _clips(place, config, outcome, stages or Stages()):
            outcome.clips.append(clip)
    except FitDiverged as error:
        outcome.refused["fit diverged"] += 1
        return dataclasses.replace(outcome, failure=str(error))
    return outcome


def _clips(
    place: Place, config: SimulationConfig, outcome: Outcome, stages: Stages
) -> Iterator[ClipRecord]:
    """Those by optimisation, then those by plan; refusals are counted in `outcome`."""
    key = jax.random.key(place.number)
    rng = np.random.default_rng([place.number, 9])
    seen, dense = None, None
    if config.paths:
        with stages("truth"):
            seen = sparse(place, rng, config)
            place = featured(place, seen.walk, seen.gains)
    if config.densely:
        dense = densely(place, seen, config, key=key, stages=stages)
        if not dense.psnr >= config.least_fidelity:
            outcome.refused["dense fit too poor"] += 1
            return
        if seen is None:
            place = featured(place, dense.views)
    common = {"config": config, "stages": stages, "refused": outcome.refused}
    if seen is not None:
        yield from optimised(place, seen, dense, rng, key=key, **common)
    if dense is not None:
        yield from broken(place, dense, given_up=outcome.given_up, **common)


def remake(line: dict[str, Any], *, config: SimulationConfig) -> ClipRecord:
    """The clip of a line of index.jsonl, made again with the config of its run.

    Raises:
        UserError: its scene makes no such clip; the config is another's.
    """
    scene = line["scene"]
    if not isinstance(scene, int):
        scene = sources.CapturedScene(path=scene, number=line["number"])
    for clip in simulate_scene(scene, config=config).clips:
        if shards.line_of(clip).items() <= line.items():
            return clip
    raise UserError(
        f"{line.get('shard')}, record {line.get('record')}: its scene makes no such "
        "clip; use the config in the run's config.json."
    )
