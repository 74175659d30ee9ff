"""Nothing is trained on worlds that figures, demo or tests are taken from."""

import itertools
from pathlib import Path

import grain

from aw_jax.core.errors import UserError
from aw_jax.data import records
from aw_jax.data.procedural.seeds import purpose


def refuse_held_out(folder: str | Path, *, first: int | None = None) -> None:
    """Checks the first clip of every shard; a shard of `simulate` has one purpose.

    Args:
        folder: clip records; clips of real captures carry no seed and pass.
        first: how many shards are checked; None: all.

    Raises:
        UserError: clips of a procedural world whose seed is not one of training.
    """
    for path in itertools.islice(records.shards(folder), first):
        record = grain.sources.ArrayRecordDataSource([str(path)])[0]
        _, notes = records.unpack(record, where=f"{path}, record 0")
        seed = notes.get("scene")
        if isinstance(seed, int) and purpose(seed) != "training":
            raise UserError(
                f"{path}: expected clips of training seeds, got the world {seed} "
                f"({purpose(seed)}): simulate --scenes=procedural:0:N for training."
            )
