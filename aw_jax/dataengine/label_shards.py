"""Labels of whole folders of clip records, shard by shard.

A shard is replaced once all its clips are labelled that should be, so a run that was
stopped goes on with the first shard that does not carry the asked labels. What the
labels are stands in each clip's notes and, once they are made, in labels.json beside
the shards.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from aw_jax.core import atomic
from aw_jax.core.arrays import UInt8
from aw_jax.core.pytrees import replace
from aw_jax.data import clips, records
from aw_jax.data.clips import ClipRecord
from aw_jax.dataengine.labels import LabelConfig, Labeller, measure_constant
from aw_jax.models.lpips import heatmap

STATEMENT = "labels.json"


def label_folder(
    folder: Path,
    *,
    config: LabelConfig,
    first: int | None = None,
    every: int = 1,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Gives clips of `folder` their heatmaps; returns how many clips were labelled.

    Args:
        folder: shards of clip records; clips that carry this very label are kept.
        config: what a heatmap is.
        first: how many shards, in the order of their names; None: all.
        every: label the clips 0, `every`, 2 `every`, ... of each shard; the others are
            left as they are. Labels cost as much as clips, and a few of many scenes
            teach more than all of a few.
        told: called with shards done and shards in all.

    Raises:
        UserError: no shards, damaged shards, or a net that cannot be loaded.
    """
    labeller = Labeller(config)
    label = describe(labeller)
    paths = records.shards(folder)[:first]
    count = 0
    for done, path in enumerate(paths):
        told(done, len(paths))
        found = clips.read_clips(path)
        asked = found[::every]
        if not all(_has(clip, label) for clip in asked):
            (folder / STATEMENT).unlink(missing_ok=True)
            labelled = [_labelled(c, h, label) for c, h in _heatmaps(labeller, asked)]
            found[::every] = labelled
            records.write_shard(path, map(clips.to_bytes, found))
            count += len(labelled)
    told(len(paths), len(paths))
    atomic.write_json(folder / STATEMENT, label | _coverage(folder, label))
    return count


def describe(labeller: Labeller) -> dict[str, Any]:
    """What is noted beside a heatmap: the net, its range and constant, and k."""
    return {
        "net": labeller.config.net,
        "fed": heatmap.FED,
        "constant": labeller.constant,
        "anchored": labeller.config.anchored,
    }


def _coverage(folder: Path, label: dict[str, Any]) -> dict[str, int]:
    """How many clips there are, and how many of them carry `label`."""
    found = records.source(folder)
    notes = (records.notes(found[i], where=str(folder)) for i in range(len(found)))
    labelled = sum(note.get("label") == label for note in notes)
    return {"clips": len(found), "labelled": labelled}


def measure_folder(folder: Path, *, config: LabelConfig, most: int) -> dict[str, Any]:
    """The entry of constants.json that clips of `folder` give.

    Args:
        folder: shards of clip records.
        config: the net, the percentile and what is anchored.
        most: how many clips are measured, spread evenly over the folder.
    """
    source = records.source(folder)
    picked = np.linspace(0, len(source) - 1, min(most, len(source))).round().astype(int)
    found = (clips.from_bytes(source[i], where=str(folder)) for i in picked.tolist())
    pairs = ((clip.clean, clip.artifact) for clip in found)
    constant, counts = measure_constant(pairs, config=config)
    return {
        "constant": round(constant, 4),
        "fed": heatmap.FED,
        "percentile": config.percentile,
        "clips": len(picked),
        "pixels": int(counts.counts.sum()),
    }


def _has(clip: ClipRecord, label: dict[str, Any]) -> bool:
    return clip.heatmap is not None and clip.notes.get("label") == label


def _heatmaps(
    labeller: Labeller, found: list[ClipRecord]
) -> Iterator[tuple[ClipRecord, UInt8[np.ndarray, "f h w"]]]:
    """Clips of one clean trajectory after another, handed back in their own order."""
    groups: dict[bytes, list[int]] = {}
    for index, clip in enumerate(found):
        groups.setdefault(clip.clean.tobytes(), []).append(index)
    heat = {
        index: labeller.heatmaps(found[index].clean, found[index].artifact)
        for indices in groups.values()
        for index in indices
    }
    yield from ((clip, heat[index]) for index, clip in enumerate(found))


def _labelled(
    clip: ClipRecord, heat: UInt8[np.ndarray, "f h w"], label: dict[str, Any]
) -> ClipRecord:
    return replace(clip, heatmap=heat, notes=clip.notes | {"label": label})
