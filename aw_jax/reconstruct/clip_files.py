"""Clips of a round on disk, so that a resumed run restores nothing twice."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from aw_jax.core import atomic
from aw_jax.geometry.cameras import Cameras
from aw_jax.reconstruct.clips import RenderedClip, RestoredClip


def save_clip(path: Path, clip: RenderedClip, restored: RestoredClip) -> None:
    """Writes one clip, whole or not at all."""
    with atomic.replacing(path) as aside:
        np.savez(
            aside,
            artifact=clip.artifact,
            alpha=clip.alpha,
            first=clip.first,
            last=clip.last,
            camera_from_world=clip.cameras.camera_from_world,
            intrinsics=clip.cameras.intrinsics,
            frames=restored.frames,
            heatmap=restored.heatmap,
        )


def load_clip(path: Path) -> tuple[RenderedClip, RestoredClip]:
    """The clip that `save_clip` wrote, bit for bit."""
    with np.load(path) as file:
        stored = {name: jnp.asarray(file[name]) for name in file.files}
    height, width = stored["alpha"].shape[1:]
    clip = RenderedClip(
        artifact=stored["artifact"],
        alpha=stored["alpha"],
        first=stored["first"],
        last=stored["last"],
        cameras=Cameras(
            camera_from_world=stored["camera_from_world"],
            intrinsics=stored["intrinsics"],
            width=width,
            height=height,
        ),
    )
    restored = RestoredClip(frames=stored["frames"], heatmap=stored["heatmap"])
    return clip, restored
