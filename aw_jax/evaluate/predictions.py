"""Predictions for whole sets of clip records, in the layout that `figures` reads.

    OUT/heatmap/NAME/00000.png ...
    OUT/restored/NAME/00000.png ...

The first and last clean frame of a clip are its two views. A clip whose restored frames
are all there is left alone, so a run that was stopped goes on.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, Key
from aw_jax.core.errors import UserError
from aw_jax.core.keys import named
from aw_jax.data.clips import ClipRecord
from aw_jax.evaluate.stored import Stored
from aw_jax.images.quantise import dequantise, quantise
from aw_jax.media import videos
from aw_jax.restoration import pipeline
from aw_jax.restoration.pipeline import Clip, RestorationModels

HEATMAP, RESTORED = "heatmap", "restored"


Restore: TypeAlias = Callable[
    [Clip, Key[Array, ""]], tuple[Float[Array, "f h w"], Float[Array, "f h w 3"]]
]
"""Heatmap and restored frames of a clip."""


def restorer(models: RestorationModels) -> Restore:
    """What the models make of a clip; compiled once a size."""

    def restore(
        clip: Clip, key: Key[Array, ""]
    ) -> tuple[Float[Array, "f h w"], Float[Array, "f h w 3"]]:
        heatmap = predict(models, clip, named(key, "predict"))
        return heatmap, repair(models, clip, heatmap, named(key, "restore"))

    predict, repair = jax.jit(pipeline.predict_heatmap), jax.jit(pipeline.restore)
    return restore


def restore_set(
    clips: dict[str, Stored],
    out: Path,
    restore: Restore,
    key: Key[Array, ""],
    *,
    told: Callable[[int], None] = lambda done: None,
) -> int:
    """Writes heatmap and restored frames of each clip; returns how many were made."""
    count = 0
    for done, (name, stored) in enumerate(clips.items()):
        told(done)
        record = stored.clip()
        if _finished(out / RESTORED / name, len(record.clean)):
            continue
        heat, restored = restore(views(record), named(key, name))
        grey = jnp.repeat(heat[..., None], 3, axis=-1)
        for part, frames in ((HEATMAP, grey), (RESTORED, restored)):
            videos.write_frames(out / part / name, np.asarray(quantise(frames)))
        count += 1
    told(len(clips))
    return count


def check_set(clips: dict[str, Stored]) -> None:
    """Refuses clips that cannot be restored; the first of each shard is looked at.

    Raises:
        UserError: too few frames, or not 8 n + 1.
    """
    first = {stored.shard: stored for stored in reversed(clips.values())}
    for stored in first.values():
        record = stored.clip()
        pipeline.check_clip(views(record))
        if len(record.clean) % 8 != 1:
            raise UserError(
                f"{stored.where}: expected clips of 8 n + 1 frames, got "
                f"{len(record.clean)}; simulate them with --config.frames."
            )


def views(record: ClipRecord) -> Clip:
    """A stored clip as the restorer is given it."""
    first, last = (jnp.asarray(record.clean[i]) for i in (0, -1))
    return Clip(
        artifact=dequantise(jnp.asarray(record.artifact)),
        first=dequantise(first),
        last=dequantise(last),
    )


def _finished(folder: Path, frames: int) -> bool:
    return folder.is_dir() and len(videos.frame_files(folder)) == frames
