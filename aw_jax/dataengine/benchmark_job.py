"""Makes the benchmark, place by place: a job that can be resumed.

A place ends in one shard and, beside it, an index with one JSON line per clip and a
contact sheet (`shards.write`). Once every place is filled index.jsonl and
manifest.json are written. With a frozen manifest nothing is chosen any more: its
scenes, draws and severities are made again, and the set is compared with it.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from aw_jax.config.report import diff, to_dict
from aw_jax.core import atomic
from aw_jax.core.errors import UserError
from aw_jax.data import records
from aw_jax.data.clips import ClipRecord
from aw_jax.dataengine import manifest, shards
from aw_jax.dataengine.benchmark import (
    BenchmarkConfig,
    PlannedClip,
    candidates,
    plan,
)
from aw_jax.dataengine.manifest import MANIFEST, Entry, Manifest
from aw_jax.dataengine.verification import VERDICT, compare
from aw_jax.runs.versions import versions

MOST_SCENES = 20
"""That are tried for one place."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Made:
    """What one scene gave."""

    clips: list[ClipRecord]
    """As planned; none where the scene cannot give them all."""
    refused: Counter[str]
    """Attempts by the reason why they are not kept."""


Make: TypeAlias = Callable[[int, Sequence[PlannedClip], Mapping[str, int] | None], Made]
"""(seed, planned clips, the draw of each by name, or None to choose) -> clips."""
Told: TypeAlias = Callable[[int, int], None]


def make_benchmark(
    folder: Path,
    make: Make,
    *,
    config: BenchmarkConfig,
    settings: Any,
    frozen: Manifest | None = None,
    share: tuple[int, int] = (0, 1),
    told: Told = lambda done, total: None,
) -> dict[str, Any]:
    """Fills the places that are empty and, once all are full, sums up.

    Args:
        folder: Gets place-*.arrayrecord, place-*.jsonl, index.jsonl, manifest.json and,
            with `frozen`, verdict.json.
        make: Makes the clips of one scene.
        config: The plan.
        settings: What `make` follows; with `config`, all that decides what is made.
        frozen: What is to be made again.
        share: (i, n): this process fills every n-th place, from the i-th on.
        told: Called with places filled, and all of this process.

    Returns:
        The summary of what is filled so far.

    Raises:
        UserError: no scene fits a place; `frozen` is of another config, or not met.
    """
    asked = to_dict({"plan": config, "scenes": settings})
    if frozen is not None:
        check_config(asked, frozen)
    places = plan(config)
    mine = range(share[0], len(places), share[1])
    for done, place in enumerate(mine):
        told(done, len(mine))
        if not _shard(folder, place).exists():
            _fill(folder, place, places[place], make, config, frozen)
    told(len(mine), len(mine))
    return _join(folder, len(places), asked, frozen)


def check_config(asked: Any, frozen: Manifest) -> None:
    """Refuses to make a frozen set in another way; `asked` has `plan` and `scenes`.

    Raises:
        UserError: a field of the config differs from the manifest's.
    """
    for path, (ours, theirs) in diff(asked, frozen.config).items():
        raise UserError(
            f"benchmark: frozen with {path}={theirs}, now asked for {path}={ours}; "
            "leave the config as it is, or leave --frozen out to draw a set anew."
        )


def _fill(
    folder: Path,
    place: int,
    planned: Sequence[PlannedClip],
    make: Make,
    config: BenchmarkConfig,
    frozen: Manifest | None,
) -> None:
    if frozen is None:
        seed, made = _chosen(place, planned, make, config)
    else:
        seed, made = _again(planned, make, frozen)
    head = {"scene": seed, "refused": dict(sorted(made.refused.items()))}
    shards.write(_shard(folder, place), made.clips, head)


def _chosen(
    place: int, planned: Sequence[PlannedClip], make: Make, config: BenchmarkConfig
) -> tuple[int, Made]:
    """The first of the place's candidates that gives all its clips."""
    refused: Counter[str] = Counter()
    for seed in islice(candidates(place, config), MOST_SCENES):
        made = make(seed, planned, None)
        refused += made.refused
        if len(made.clips) == len(planned):
            return seed, Made(clips=made.clips, refused=refused)
        refused["scene given up"] += 1
    told = ", ".join(f"{reason} {count}" for reason, count in refused.most_common())
    raise UserError(
        f"benchmark: none of {MOST_SCENES} scenes gives the clips of place {place} "
        f"({told}); ask for milder severities or a wider gate."
    )


def _again(
    planned: Sequence[PlannedClip], make: Make, frozen: Manifest
) -> tuple[int, Made]:
    """The clips of a place as the manifest has them."""
    entries = {entry.name: entry for entry in frozen.clips}
    found = [_frozen_as(clip, entries) for clip in planned]
    scenes = sorted({entry.scene for entry in found})
    if len(scenes) > 1:
        raise UserError(
            f"clip {planned[0].name}: expected its place to have one scene, "
            f"got {scenes} in the manifest."
        )
    orders = [
        dataclasses.replace(
            clip, severities={name: entry.severities[name] for name in clip.severities}
        )
        for clip, entry in zip(planned, found, strict=True)
    ]
    draws = {entry.name: entry.draw for entry in found}
    return scenes[0], make(scenes[0], orders, draws)


def _frozen_as(clip: PlannedClip, entries: Mapping[str, Entry]) -> Entry:
    entry = entries.get(clip.name)
    if entry is None or entry.severities.keys() != clip.severities.keys():
        raise UserError(
            f"clip {clip.name}: expected it in the manifest with the types "
            f"{', '.join(clip.severities)}; the manifest is another plan's."
        )
    return entry


def _join(
    folder: Path, places: int, asked: dict[str, Any], frozen: Manifest | None
) -> dict[str, Any]:
    """Sums up; once all places are filled, writes what describes the set."""
    found = [_shard(folder, place) for place in range(places)]
    done = [shard for shard in found if shard.exists()]
    parts = [
        list(map(json.loads, shard.with_suffix(".jsonl").read_text().splitlines()))
        for shard in done
    ]
    refused = sum((Counter(head["refused"]) for head, *_ in parts), Counter())
    lines = [
        {"shard": shard.name, "record": index} | line
        for shard, (_, *rest) in zip(done, parts, strict=True)
        for index, line in enumerate(rest)
    ]
    told = {
        "places": len(done),
        "of": places,
        "clips": len(lines),
        "refused": dict(sorted(refused.items())),
    }
    if len(done) < places:
        return told
    atomic.write_text(folder / shards.INDEX, shards.json_lines(lines))
    return told | _describe(folder, asked, frozen)


def _describe(
    folder: Path, asked: dict[str, Any], frozen: Manifest | None
) -> dict[str, Any]:
    """Writes the set's manifest and, where there is a frozen one, compares them."""
    found = manifest.describe(folder, config=asked, versions=versions())
    manifest.save(folder / MANIFEST, found)
    (folder / VERDICT).unlink(missing_ok=True)
    if frozen is None:
        return {}
    verdict = compare(found, frozen)
    words = {"verdict": str(verdict), "psnr": verdict.psnr}
    atomic.write_json(folder / VERDICT, words)
    return words


def _shard(folder: Path, place: int) -> Path:
    return folder / f"place-{place:03d}{records.SUFFIX}"
