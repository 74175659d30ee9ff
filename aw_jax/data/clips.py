"""Clip records: a clean clip and its broken twin, with labels where they exist."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grain
import numpy as np

from aw_jax.core.arrays import UInt8
from aw_jax.core.errors import UserError
from aw_jax.data import records

REQUIRED = ("clean", "artifact")
OPTIONAL = ("heatmap", "mask")


@dataclass(frozen=True, kw_only=True)
class ClipRecord:
    """One pair of clips from the same cameras."""

    clean: UInt8[np.ndarray, "f h w 3"]
    artifact: UInt8[np.ndarray, "f h w 3"]
    heatmap: UInt8[np.ndarray, "f h w"] | None = None
    """255: as broken as the label's constant or more. None: not labelled yet."""
    mask: UInt8[np.ndarray, "f h w"] | None = None
    """255 where an edit touched the picture; its kind stands in the notes."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Everything needed to make the clip again, and its figures; JSON-ready."""

    def __post_init__(self) -> None:
        """Refuses twins of different size."""
        if self.clean.shape != self.artifact.shape:
            raise UserError(
                f"clip: expected twins of one size, got clean {self.clean.shape} and "
                f"artifact {self.artifact.shape}."
            )


def to_bytes(clip: ClipRecord) -> bytes:
    """The clip as a record, without loss."""
    stored = {name: getattr(clip, name) for name in (*REQUIRED, *OPTIONAL)}
    arrays = {name: value for name, value in stored.items() if value is not None}
    return records.pack(arrays, clip.notes)


def from_bytes(record: bytes, *, where: str) -> ClipRecord:
    """The clip of a record; `where` (file and index) is named in errors.

    Raises:
        UserError: a damaged record, or one that holds no clip.
    """
    arrays, notes = records.unpack(record, where=where)
    missing = [name for name in REQUIRED if name not in arrays]
    if missing:
        raise UserError(
            f"{where}: expected a clip record with {', '.join(REQUIRED)}, "
            f"got {', '.join(arrays) or 'no array'}; is this a folder of latents?"
        )
    return ClipRecord(
        clean=arrays["clean"],
        artifact=arrays["artifact"],
        heatmap=arrays.get("heatmap"),
        mask=arrays.get("mask"),
        notes=notes,
    )


def read_clips(path: str | Path) -> list[ClipRecord]:
    """All clips of one shard."""
    found = enumerate(records.read_shard(path))
    return [from_bytes(data, where=f"{path}, record {i}") for i, data in found]


def dataset(folder: str | Path, *, first: int | None = None) -> grain.MapDataset:
    """The clips of a folder, or of its `first` shards, as a set of `ClipRecord`."""
    data = grain.MapDataset.source(records.source(folder, first=first))
    return data.map(lambda record: from_bytes(record, where=str(folder)))
