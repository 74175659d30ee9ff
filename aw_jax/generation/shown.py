"""What the user shows: images and clips to keep, a video to change.

    --image=PATH[@FRAME[:STRENGTH]]    a picture; frame 0 and strength 1 by default
    --clip=PATH[@FRAME[:STRENGTH]]     a video or a folder of frames

Frame -1 is the last one. Everything is cropped in its middle to the video's shape and
resized, as in Lightricks' inference.py.
"""

import re
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, UInt8
from aw_jax.core.errors import UserError
from aw_jax.core.pytrees import pytree, static
from aw_jax.images import resize
from aw_jax.images.quantise import dequantise
from aw_jax.media import images, videos
from aw_jax.runs.progress import say

Kind = Literal["image", "clip"]
_PLACED = re.compile(r"(?P<path>.+)@(?P<frame>-?\d+)(?::(?P<strength>[\d.]+))?")
_STRIDE = 8


@pytree
class Shown:
    """Frames of the video's size, and where they belong."""

    frames: Float[Array, "f h w 3"]
    frame: int = static(default=0)
    """Of the video, at which they begin."""
    strength: float = static(default=1.0)
    fps: float | None = static(default=None)
    """Where the file tells it."""


def read(kind: Kind, text: str, size: tuple[int, int, int]) -> Shown:
    """The picture or clip that a flag names, for a video of `size`.

    Raises:
        UserError: no such file, a strength that is none, or no room for it.
    """
    path, frame, strength = _parsed(kind, text, size[0])
    if kind == "image":
        frames, fps = images.read(path)[None], None
    else:
        clip = videos.read(path, limit=size[0] - frame)
        frames, fps = _whole(path, clip.frames), clip.fps
        if len(frames) > 1 and frame % _STRIDE:
            raise UserError(
                f"--clip={text}: clips begin at frames that are multiples of "
                f"{_STRIDE}, got {frame}."
            )
    fitted = fit(frames, height=size[1], width=size[2])
    return Shown(frames=fitted, frame=frame, strength=strength, fps=fps)


def read_video(path: Path, size: tuple[int, int, int]) -> Shown:
    """The video to change: its first frames, in the size of the result.

    Raises:
        UserError: no such file, or fewer frames than are asked for.
    """
    clip = videos.read(path, limit=size[0])
    if len(clip.frames) < size[0]:
        fewer = (len(clip.frames) - 1) // _STRIDE * _STRIDE + 1
        raise UserError(
            f"--video={path}: has {len(clip.frames)} frames, {size[0]} are asked for: "
            f"set --config.frames={fewer}."
        )
    return Shown(frames=fit(clip.frames, height=size[1], width=size[2]), fps=clip.fps)


def fit(
    frames: UInt8[np.ndarray, "f h w 3"], *, height: int, width: int
) -> Float[Array, "f i j 3"]:
    """The largest middle part of the wanted shape, resized, in [0, 1]."""
    rows, columns = frames.shape[1:3]
    scale = max(height / rows, width / columns)
    inner = min(rows, round(height / scale)), min(columns, round(width / scale))
    top, left = (rows - inner[0]) // 2, (columns - inner[1]) // 2
    middle = frames[:, top : top + inner[0], left : left + inner[1]]
    shrinks = inner[0] >= height and inner[1] >= width
    change = resize.area if shrinks else resize.bilinear
    return change(dequantise(jnp.asarray(middle)), height=height, width=width)


def _parsed(kind: Kind, text: str, frames: int) -> tuple[Path, int, float]:
    found = None if Path(text).exists() else _PLACED.fullmatch(text)
    path, frame, strength = (text, "0", None) if found is None else found.groups()
    if not Path(path).exists():
        raise UserError(
            f"--{kind}={text}: there is no {path}; expected PATH[@FRAME[:STRENGTH]]."
        )
    try:
        weight = 1.0 if strength is None else float(strength)
    except ValueError:
        weight = 0.0
    if not 0 < weight <= 1:
        raise UserError(
            f"--{kind}={text}: the strength must be in (0, 1], got {strength}."
        )
    at = int(frame) + (frames if int(frame) < 0 else 0)
    if not 0 <= at < frames:
        raise UserError(
            f"--{kind}={text}: expected a frame below {frames} (-1 is the last), got "
            f"{frame}."
        )
    return Path(path), at, weight


def _whole(
    path: Path, frames: UInt8[np.ndarray, "f h w 3"]
) -> UInt8[np.ndarray, "g h w 3"]:
    """The first 8 n + 1 of the frames, which is what the autoencoder takes."""
    count = (len(frames) - 1) // _STRIDE * _STRIDE + 1
    if count < len(frames):
        say(f"{path}: {count} of {len(frames)} frames are used (8 n + 1).")
    return frames[:count]
