"""Whether the truths of an evaluation are the frozen benchmark's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aw_jax.core import atomic
from aw_jax.core.errors import UserError
from aw_jax.dataengine.manifest import MANIFEST, Entry, digests, load
from aw_jax.dataengine.verification import VERDICT
from aw_jax.evaluate.stored import Stored


def benchmark_state(
    folder: Path, stored: Mapping[str, Stored], scored: int
) -> dict[str, Any]:
    """What stands beside figures on a frozen set; nothing where no manifest lies.

    Raises:
        UserError: a clip is not what the folder's manifest says.
    """
    if not (folder / MANIFEST).is_file():
        return {}
    entries = {entry.name: entry for entry in load(folder / MANIFEST).clips}
    for name in sorted(entries.keys() | stored.keys()):
        _check(name, entries, stored)
    verdict = "not compared with a frozen set"
    if (folder / VERDICT).is_file():
        verdict = atomic.read_json(folder / VERDICT)["verdict"]
    told = {"clips": len(entries), "scored": scored, "verdict": verdict}
    return {"benchmark": told}


def _check(
    name: str, entries: Mapping[str, Entry], stored: Mapping[str, Stored]
) -> None:
    if name not in stored:
        raise UserError(f"clip {name}: in {MANIFEST}, but in no shard beside it.")
    clip = stored[name]
    if name not in entries:
        raise UserError(f"{clip.where}: {MANIFEST} knows no clip {name}.")
    if digests(clip.clip()) != entries[name].sha256:
        raise UserError(
            f"{clip.where}: clip {name} has other pixels than {MANIFEST} says; delete "
            "the shard and make it again."
        )
