"""Pairs of clean and broken clips, from seeds to shards: a job that can be resumed.

A unit of work is a chunk of seeds; it ends in one shard of clip records and, beside
it, an index with one JSON line per clip. Both appear whole or not at all, the shard
last, so a unit whose shard exists is finished. What a unit holds depends on its seeds
and the config alone: killed and started again, or shared among processes, the job makes
the same bytes.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core import atomic
from aw_jax.core.arrays import Array, Float
from aw_jax.core.errors import UserError
from aw_jax.data import clips, records
from aw_jax.data.clips import ClipRecord
from aw_jax.data.procedural.rendering import render as trace
from aw_jax.data.procedural.worlds import ProceduralWorld, scene
from aw_jax.dataengine.gate import ClipFigures, GateConfig, figures, refusal
from aw_jax.dataengine.sparse_fit import (
    SparseCapture,
    SparseFitConfig,
    snapshots,
    sparse_capture,
)
from aw_jax.geometry.cameras import Cameras
from aw_jax.geometry.trajectories import TrajectoryConfig, pairs, reference_trajectory
from aw_jax.images.quantise import quantise
from aw_jax.splat.fit import FitDiverged
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.rasterize import render

ROUTE = "optimisation stage"
INDEX = "index.jsonl"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """What clips are made, and how they are packed."""

    frames: int = 25
    """Of a clip, 8 n + 1."""
    width: int = 96
    height: int = 96
    sparse: SparseFitConfig = SparseFitConfig()
    paths: int = 4
    """Camera paths per fit; each gives a clip per snapshot."""
    walked: float = 0.5
    """Share of paths that follow the walk of the photos, either way; the others, and
    those for which the walk has no stretch left, are Reference-guided Trajectories, as
    the closed loop renders them."""
    rounds: int = 3
    """Trajectories are drawn as those of rounds 0 to `rounds` - 1."""
    trajectory: TrajectoryConfig = TrajectoryConfig()
    gate: GateConfig = GateConfig()
    scenes_per_shard: int = 8

    def __post_init__(self) -> None:
        if self.frames < 9 or self.frames % 8 != 1:
            raise ValueError(
                f"SimulationConfig.frames must be 8 n + 1, got {self.frames}."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Course:
    """A camera path between two training views."""

    kind: str
    start: int
    end: int
    round: int
    cameras: Cameras


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Truth:
    """What is really seen along a course."""

    course: _Course
    clean: Float[Array, "f h w 3"]
    depth: Float[Array, "f h w"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one scene: clips with their figures, and refusals by reason."""

    clips: list[ClipRecord]
    refused: Counter


def simulate(
    seeds: Sequence[int],
    folder: str | Path,
    *,
    config: SimulationConfig = SimulationConfig(),
    share: tuple[int, int] = (0, 1),
    told: Callable[[int, int, dict[str, Any]], None] = lambda done, total, last: None,
) -> dict[str, Any]:
    """Makes the clips of all seeds; what stands in `folder` already is kept.

    Args:
        seeds: Of procedural worlds; chunks of `scenes_per_shard` are units.
        folder: Gets clips-*.arrayrecord, clips-*.jsonl and, once every unit is there,
            index.jsonl.
        config: The clips.
        share: (i, n): this process makes every n-th unit, from the i-th on.
        told: Called with units done, units in all and the last unit's summary.

    Returns:
        The summary of all units that are finished so far.
    """
    if not seeds:
        raise UserError("simulate: expected at least one scene, got none.")
    folder = Path(folder)
    size = config.scenes_per_shard
    units = [list(seeds[i : i + size]) for i in range(0, len(seeds), size)]
    mine = units[share[0] :: share[1]]
    for done, unit in enumerate(mine):
        shard = _shard(folder, unit)
        if not shard.exists():
            told(done, len(mine), _make_unit(unit, shard, config))
    told(len(mine), len(mine), {})
    return _join(folder, units)


def simulate_scene(seed: int, *, config: SimulationConfig) -> Outcome:
    """All clips of one seed that pass the gate."""
    world = scene(seed)
    key = jax.random.key(seed)
    rng = np.random.default_rng([seed, 9])
    refused: Counter = Counter()
    seen = sparse_capture(
        world,
        rng,
        frames=config.frames,
        size=(config.width, config.height),
        config=config.sparse,
    )
    found = list(_paths(world, seen, rng, config))
    kept = []
    try:
        for steps, splat in snapshots(seen, config=config.sparse, key=key):
            for number, path in enumerate(found):
                clip, reason = _clip(splat, path, config.gate)
                if reason:
                    refused[reason] += 1
                    continue
                notes = _notes(world, seen, path.course) | {
                    "steps": steps,
                    "path": number,
                }
                kept.append(dataclasses.replace(clip, notes=notes | clip.notes))
    except FitDiverged:
        refused["fit diverged"] += 1
    return Outcome(clips=kept, refused=refused)


def _paths(
    world: ProceduralWorld,
    seen: SparseCapture,
    rng: np.random.Generator,
    config: SimulationConfig,
) -> Iterator[_Truth]:
    """Courses of either kind, with the truth rendered along them."""
    stretches = list(rng.permutation(len(seen.cameras.intrinsics) - 1))
    for _ in range(config.paths):
        if stretches and rng.uniform() < config.walked:
            course = _walked(seen, int(stretches.pop()), rng, config)
        else:
            course = _guided(seen, rng, config)
        clean, depth = trace(world, course.cameras)
        yield _Truth(course=course, clean=clean, depth=depth)


def _walked(
    seen: SparseCapture,
    stretch: int,
    rng: np.random.Generator,
    config: SimulationConfig,
) -> _Course:
    """The walk itself between two neighbouring training views, either way."""
    frames = np.arange(config.frames) + stretch * (config.frames - 1)
    ends = (stretch, stretch + 1)
    if rng.uniform() < 0.5:
        frames, ends = frames[::-1], ends[::-1]
    cameras = seen.walk[frames]
    return _Course(kind="walk", start=ends[0], end=ends[1], round=0, cameras=cameras)


def _guided(
    seen: SparseCapture, rng: np.random.Generator, config: SimulationConfig
) -> _Course:
    """A Reference-guided Trajectory of some round between two training views."""
    index = int(rng.integers(config.rounds))
    choice = pairs(seen.cameras, count=len(seen.cameras.intrinsics), round=index)
    start, end = choice[int(rng.integers(len(choice)))]
    cameras = reference_trajectory(
        seen.cameras,
        start=start,
        end=end,
        frames=config.frames,
        round=index,
        phase=float(rng.uniform()),
        config=config.trajectory,
    )
    return _Course(
        kind="trajectory", start=start, end=end, round=index, cameras=cameras
    )


def _clip(
    splat: Splat, path: _Truth, gate: GateConfig
) -> tuple[ClipRecord, str | None]:
    """The pair seen along a path, and why it is refused, if it is."""
    seen = _render(splat, path.course.cameras)
    clean, artifact = (np.asarray(quantise(x)) for x in (path.clean, seen[0]))
    found = figures(
        clean.astype(np.float32) / 255,
        artifact.astype(np.float32) / 255,
        alpha=np.asarray(seen[1]),
        depth=np.asarray(path.depth),
    )
    clip = ClipRecord(clean=clean, artifact=artifact, notes=_measured(found))
    return clip, refusal(found, gate)


@jax.jit
def _render(
    splat: Splat, cameras: Cameras
) -> tuple[Float[Array, "f h w 3"], Float[Array, "f h w"]]:
    """Colors in [0, 1] and alpha along a path."""
    seen = render(splat, cameras)
    return jnp.clip(seen.color, 0, 1), seen.alpha


def _notes(
    world: ProceduralWorld, seen: SparseCapture, course: _Course
) -> dict[str, Any]:
    """Where a clip comes from, and its cameras; together with the config, all of it."""
    return {
        "route": ROUTE,
        "scene": world.seed,
        "world": world.kind,
        "views": len(seen.cameras.intrinsics),
        "fit_steps": seen.steps,
        "kind": course.kind,
        "start": course.start,
        "end": course.end,
        "round": course.round,
        "camera_from_world": np.asarray(course.cameras.camera_from_world).tolist(),
        "intrinsics": np.asarray(course.cameras.intrinsics[0]).tolist(),
    }


def _measured(found: ClipFigures) -> dict[str, Any]:
    """The clip's figures, rounded."""
    return {
        "psnr": round(float(found.psnr.mean()), 3),
        "frame_psnr": [round(float(x), 2) for x in found.psnr],
        "coverage": round(found.coverage, 4),
    }


def _shard(folder: Path, unit: Sequence[int]) -> Path:
    """The shard of a unit, named by its first and last seed."""
    return folder / f"clips-{unit[0]:010d}-{unit[-1]:010d}{records.SUFFIX}"


def _make_unit(
    unit: Sequence[int], shard: Path, config: SimulationConfig
) -> dict[str, Any]:
    """Simulates the scenes of a unit and writes its index, then its shard."""
    kept: list[ClipRecord] = []
    refused: Counter = Counter()
    for seed in unit:
        outcome = simulate_scene(seed, config=config)
        kept += outcome.clips
        refused += outcome.refused
    summary = {
        "unit": shard.stem,
        "scenes": len(unit),
        "refused": dict(sorted(refused.items())),
    }
    lines = [summary] + [
        {k: v for k, v in clip.notes.items() if k not in BULKY} for clip in kept
    ]
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    atomic.write_text(shard.with_suffix(".jsonl"), text)
    records.write_shard(shard, map(clips.to_bytes, kept))
    return summary | {"clips": len(kept)}


BULKY = ("camera_from_world", "intrinsics", "frame_psnr")
"""Notes that stay in the record and out of the index."""


def _join(folder: Path, units: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Sums up the finished units; once all are, joins their indices."""
    shards = [_shard(folder, unit) for unit in units]
    done = [shard for shard in shards if shard.exists()]
    refused: Counter = Counter()
    lines: list[dict[str, Any]] = []
    scenes = 0
    for shard in done:
        head, *rest = map(
            json.loads, shard.with_suffix(".jsonl").read_text().splitlines()
        )
        refused += Counter(head["refused"])
        scenes += head["scenes"]
        lines += [
            {"shard": shard.name, "record": i} | line for i, line in enumerate(rest)
        ]
    if len(done) == len(shards):
        text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
        atomic.write_text(folder / INDEX, text)
    psnrs = [line["psnr"] for line in lines]
    return {
        "units": len(done),
        "of": len(units),
        "scenes": scenes,
        "clips": len(lines),
        "refused": dict(sorted(refused.items())),
        "psnr": round(float(np.mean(psnrs)), 3) if psnrs else None,
    }
