"""Clips inside shards as items of an evaluation, and the groups they fall into."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import grain
import numpy as np

from aw_jax.core.arrays import UInt8
from aw_jax.core.errors import UserError
from aw_jax.data import records
from aw_jax.data.clips import ClipRecord, from_bytes
from aw_jax.dataengine.manifest import clip_name
from aw_jax.restoration.taxonomy import NAMES

Part: TypeAlias = Literal["clean", "artifact", "heatmap"]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One clip of a shard; its pixels are read when asked for."""

    shard: Path
    record: int
    notes: dict[str, Any]

    @property
    def where(self) -> str:
        """For errors."""
        return f"{self.shard}, record {self.record}"

    def clip(self) -> ClipRecord:
        """All that is stored of it."""
        return from_bytes(_source(self.shard)[self.record], where=self.where)

    def frames(self, part: Part) -> UInt8[np.ndarray, "f h w 3"]:
        """One of its videos; a heatmap is grey.

        Raises:
            UserError: it has no heatmap.
        """
        found = getattr(self.clip(), part)
        if found is None:
            raise UserError(
                f"{self.where}: expected a heatmap, got a clip without one; run the "
                f"launcher label with --data={self.shard.parent} first."
            )
        return np.repeat(found[..., None], 3, axis=-1) if found.ndim == 3 else found


def has_shards(folder: Path) -> bool:
    """Whether a folder holds clip records."""
    return folder.is_dir() and any(folder.glob(f"[!.]*{records.SUFFIX}"))


def stored_clips(folder: Path) -> dict[str, Stored]:
    """The clips of a folder of shards by the names their predictions have.

    Raises:
        UserError: no shards, damaged ones, or two clips of one name.
    """
    found: dict[str, Stored] = {}
    for path in records.shards(folder):
        source = _source(path)
        for index in range(len(source)):
            notes = records.notes(source[index], where=f"{path}, record {index}")
            name = clip_name(notes, path, index)
            if name in found:
                raise UserError(
                    f"{path}, record {index}: the name {name} was {found[name].where} "
                    "already; give clips names of their own."
                )
            found[name] = Stored(shard=path, record=index, notes=notes)
    return found


def groups(found: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, list[str]]:
    """Names of clips by type alone, and by how many types are combined.

    Args:
        found: names with notes; clips whose types are not noted are in no group.
    """
    rows = [*NAMES, "one type", *(f"{n} types" for n in range(2, 10)), "several types"]
    members: dict[str, list[str]] = {row: [] for row in rows}
    for name, notes in found:
        types = notes.get("types", ())
        if len(types) == 1:
            members[types[0]].append(name)
            members["one type"].append(name)
        elif types:
            members[f"{len(types)} types"].append(name)
            members["several types"].append(name)
    return {row: names for row, names in members.items() if names}


def _source(shard: Path) -> grain.sources.ArrayRecordDataSource:
    return grain.sources.ArrayRecordDataSource([str(shard)])
