"""Restores a clip between two clean views: heatmap video and restored video.

python -m aw_jax.launch.restore --video=broken.mp4 --first=a.png --last=b.png --out=DIR
python -m aw_jax.launch.restore --clips=SHARDS --out=DIR

Of every clip in a folder of shards it makes what `evaluate` measures: DIR/restored for
--task=restoration, DIR/heatmap for --task=heatmap, with --gt=SHARDS.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from aw_jax.core.arrays import Array, Float
from aw_jax.core.errors import UserError
from aw_jax.core.keys import named
from aw_jax.evaluate.predictions import check_set, restore_set, restorer
from aw_jax.evaluate.stored import stored_clips
from aw_jax.images.quantise import dequantise, quantise
from aw_jax.launch import app
from aw_jax.media import images, videos
from aw_jax.restoration import model_files, pipeline
from aw_jax.runs.folder import RunFolder
from aw_jax.runs.progress import progress, say

flags.DEFINE_string("video", None, "The broken clip: a video, or a folder of frames.")
flags.DEFINE_string("first", None, "The clean view at its first frame.")
flags.DEFINE_string("last", None, "The clean view at its last frame.")
flags.DEFINE_string("clips", None, "Instead of the three: a folder of clip records.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RestoreConfig:
    """How a clip is restored."""

    model: str = "ltx_tiny"
    """A preset's name, or a folder with vae, transformer and adapters."""
    frames: int | None = None
    """Use only so many frames from the start, 8 n + 1; None: all."""


def run(config: RestoreConfig, folder: RunFolder) -> None:
    """Restores one clip, or all of a folder of shards."""
    work = _run_one if app.FLAGS.clips is None else _run_set
    work(config, folder)


def _run_one(config: RestoreConfig, folder: RunFolder) -> None:
    """Writes heatmap.mp4 and restored.mp4, and both as frames."""
    shown = videos.read(app.existing("video"), limit=config.frames)
    clip = pipeline.Clip(
        artifact=dequantise(jnp.asarray(shown.frames)),
        first=_photo(app.existing("first")),
        last=_photo(app.existing("last")),
    )
    pipeline.check_clip(clip)
    _check_frames(len(shown.frames))
    models = model_files.load(config.model)
    folder.begin()
    key = jax.random.key(app.FLAGS.seed)
    say("heatmap")
    heatmap = jax.jit(pipeline.predict_heatmap)(models, clip, named(key, "predict"))
    say("restore")
    restored = jax.jit(pipeline.restore)(models, clip, heatmap, named(key, "restore"))
    grey = jnp.repeat(heatmap[..., None], 3, axis=-1)
    fps = shown.fps or models.method.fps
    for name, frames in (("heatmap", grey), ("restored", restored)):
        _write(folder.path, name, np.asarray(quantise(frames)), fps)
    folder.finish({"frames": len(shown.frames), "mean_heatmap": float(heatmap.mean())})


def _run_set(config: RestoreConfig, folder: RunFolder) -> None:
    """Writes heatmap/NAME and restored/NAME of every clip."""
    given = [
        f"--{name}" for name in ("video", "first", "last") if app.FLAGS[name].value
    ]
    if given or config.frames is not None:
        word = given[0] if given else "--config.frames"
        raise UserError(f"--clips has clips and views of its own; leave {word} out.")
    clips = stored_clips(app.existing("clips"))
    check_set(clips)
    models = model_files.load(config.model)
    folder.begin()
    key = jax.random.key(app.FLAGS.seed)
    with progress("restore", len(clips)) as bar:
        restore_set(clips, folder.path, restorer(models), key, told=bar.update)
    folder.finish({"clips": len(clips)})


def _photo(path: Path) -> Float[Array, "h w 3"]:
    return dequantise(jnp.asarray(images.read(path)))


def _check_frames(count: int) -> None:
    if count % 8 != 1:
        raise UserError(
            f"--video has {count} frames, 8 n + 1 are needed: "
            f"set --config.frames={(count - 1) // 8 * 8 + 1}."
        )


def _write(folder: Path, name: str, frames: np.ndarray, fps: float) -> None:
    videos.write(folder / f"{name}.mp4", frames, fps=fps)
    videos.write_frames(folder / name, frames)


PRESET = RestoreConfig()
OWN = ("video", "first", "last", "clips")

if __name__ == "__main__":
    app.launch(run, PRESET, own=OWN)
