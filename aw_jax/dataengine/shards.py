"""What a unit of a simulation leaves: a shard, its index and its contact sheet.

Each is whole or absent, the shard is written last: where it is, the others are.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aw_jax.core import atomic
from aw_jax.data import clips, records
from aw_jax.data.clips import ClipRecord
from aw_jax.dataengine.contact_sheet import contact_sheet
from aw_jax.dataengine.sources import SceneSource
from aw_jax.media import images

INDEX = "index.jsonl"
BULKY = ("camera_from_world", "intrinsics", "frame_psnr")
"""Notes that stay in the record and out of the index."""
COUNTED = ("refused", "given_up")


def path_of(folder: Path, unit: Sequence[SceneSource]) -> Path:
    """The shard of a unit, named by its first and last scene."""
    return folder / f"clips-{unit[0].stem}-{unit[-1].stem}{records.SUFFIX}"


def line_of(clip: ClipRecord) -> dict[str, Any]:
    """What the index says of a clip: enough to make it again with the run's config."""
    return {key: value for key, value in clip.notes.items() if key not in BULKY}


def write(
    shard: Path, kept: Sequence[ClipRecord], summary: dict[str, Any]
) -> dict[str, Any]:
    """Writes a unit; returns its summary, clips counted."""
    summary = {"unit": shard.stem} | summary
    lines = [summary, *map(line_of, kept)]
    atomic.write_text(shard.with_suffix(".jsonl"), json_lines(lines))
    if kept:
        images.write(shard.with_suffix(".png"), contact_sheet(kept))
    records.write_shard(shard, map(clips.to_bytes, kept))
    return summary | {"clips": len(kept)}


def join(folder: Path, units: Sequence[Sequence[SceneSource]]) -> dict[str, Any]:
    """Sums up the finished units; once all are, joins their indices."""
    shards = [path_of(folder, unit) for unit in units]
    done = [shard for shard in shards if shard.exists()]
    counts: dict[str, Counter] = {name: Counter() for name in COUNTED}
    lines: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    scenes = 0
    for shard in done:
        text = shard.with_suffix(".jsonl").read_text()
        head, *rest = map(json.loads, text.splitlines())
        for name, count in counts.items():
            count.update(head[name])
        failed |= head["failed"]
        scenes += head["scenes"]
        where = ({"shard": shard.name, "record": i} for i in range(len(rest)))
        lines += [at | line for at, line in zip(where, rest, strict=True)]
    if len(done) == len(shards):
        _sweep(folder)
        atomic.write_text(folder / INDEX, json_lines(lines))
    psnrs = [line["psnr"] for line in lines]
    return {
        "units": len(done),
        "of": len(units),
        "scenes": scenes,
        "clips": len(lines),
        **{name: dict(sorted(count.items())) for name, count in counts.items()},
        "failed": failed,
        "routes": _count(line["route"] for line in lines),
        "types": _count(name for line in lines for name in line.get("types", ())),
        "psnr": round(float(np.mean(psnrs)), 3) if psnrs else None,
    }


def _count(words: Any) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _sweep(folder: Path) -> None:
    """Removes what processes that were killed left half-written; nobody writes now."""
    for path in folder.glob(".clips-*.tmp.*"):
        path.unlink(missing_ok=True)


def json_lines(lines: Sequence[dict[str, Any]]) -> str:
    """One line of JSON each, keys in order."""
    return "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
