"""Checkpoints: trees of arrays by step. The only file that imports Orbax."""

import json
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from aw_jax.core.arrays import PyTree


class Checkpoints:
    """Numbered snapshots of one tree in a folder; the newest `keep` stay."""

    def __init__(self, folder: str | Path, *, keep: int = 2) -> None:
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, enable_async_checkpointing=False
        )
        path = Path(folder).absolute()
        self._manager = ocp.CheckpointManager(path, options=options)

    def latest(self) -> int | None:
        """The step of the newest whole snapshot, if there is one."""
        return self._manager.latest_step()

    def save(self, step: int, tree: PyTree, *, notes: dict[str, Any]) -> None:
        """Saves `tree` and JSON `notes` as `step`; an existing step is left alone."""
        if step in self._manager.all_steps():
            return
        leaves = dict(enumerate(jax.tree.leaves(tree)))
        items = ocp.args.Composite(
            tree=ocp.args.StandardSave({str(i): leaf for i, leaf in leaves.items()}),
            notes=ocp.args.JsonSave(json.loads(json.dumps(notes))),
        )
        self._manager.save(step, args=items)

    def notes(self, step: int) -> dict[str, Any]:
        """The notes of `step` alone: they may tell the shapes of its tree."""
        items = ocp.args.Composite(notes=ocp.args.JsonRestore())
        return self._manager.restore(step, args=items)["notes"]

    def restore(self, step: int, like: PyTree) -> tuple[PyTree, dict[str, Any]]:
        """The tree and notes of `step`; `like` gives structure, shapes and dtypes."""
        leaves, structure = jax.tree.flatten(like)
        abstract = {
            str(i): jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
            for i, leaf in enumerate(leaves)
        }
        items = ocp.args.Composite(
            tree=ocp.args.StandardRestore(abstract), notes=ocp.args.JsonRestore()
        )
        found = self._manager.restore(step, args=items)
        ordered = [found["tree"][str(i)] for i in range(len(leaves))]
        return jax.tree.unflatten(structure, ordered), found["notes"]

    def close(self) -> None:
        """Ends the background work of the manager."""
        self._manager.close()
