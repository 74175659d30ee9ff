"""Clips: an H.264 file, or a folder of frames in the order of their names.

Written videos are previews (4:2:0, BT.709). The encoder runs on one thread, so that the
same frames give the same bytes; what must be exact is kept as a folder of PNG files.
"""

import io
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from aw_jax.core import atomic
from aw_jax.core.arrays import UInt8
from aw_jax.core.errors import UserError
from aw_jax.media import images

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
_ONE_THREAD = "threads=1:lookahead-threads=1:sync-lookahead=0"
_BT709 = 1


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Frames of one size."""

    frames: UInt8[np.ndarray, "f h w 3"]
    fps: float | None = None
    """Frames a second; None where the source does not say."""


def read(path: Path, *, limit: int | None = None) -> Clip:
    """The clip in a video file or in a folder of images, at most `limit` frames.

    Raises:
        UserError: `path` is neither, holds no frame, or holds frames of several sizes.
    """
    if path.is_dir():
        return Clip(frames=_read_folder(path, limit))
    if not path.is_file():
        raise UserError(f"{path}: expected a video or a folder of frames, found none.")
    return _read_file(path, limit)


def write(
    path: Path, frames: UInt8[np.ndarray, "f h w 3"], *, fps: float = 24.0
) -> None:
    """Writes an .mp4 file atomically; odd sides are padded by one repeated pixel."""
    atomic.write_bytes(path, encode(frames, fps=fps))


def write_frames(folder: Path, frames: UInt8[np.ndarray, "f h w 3"]) -> None:
    """Writes 00000.png, 00001.png, ... into `folder`, each atomically."""
    for index, frame in enumerate(frames):
        images.write(folder / f"{index:05d}.png", frame)


def frame_files(folder: Path) -> list[Path]:
    """The image files of `folder`, sorted by name."""
    found = (p for p in folder.iterdir() if not p.name.startswith("."))
    return sorted(p for p in found if p.suffix.lower() in images.SUFFIXES)


def encode(
    frames: UInt8[np.ndarray, "f h w 3"], *, fps: float = 24.0, crf: int = 18
) -> bytes:
    """The bytes of an .mp4 file; the same frames give the same bytes."""
    height, width = frames.shape[1:3]
    frames = np.pad(
        frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge"
    )
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264",
            rate=Fraction(fps).limit_denominator(1001),
            options={"crf": str(crf), "preset": "medium", "x264-params": _ONE_THREAD},
        )
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        _tag_bt709(stream.codec_context)
        for frame in frames:
            container.mux(stream.encode(_to_yuv(frame)))
        container.mux(stream.encode())
    return out.getvalue()


def _tag_bt709(context: av.VideoCodecContext) -> None:
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = ColorRange.MPEG


def _to_yuv(frame: UInt8[np.ndarray, "h w 3"]) -> av.VideoFrame:
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    return picture.reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
    )


def _read_file(path: Path, limit: int | None) -> Clip:
    try:
        with av.open(path) as container:
            stream = container.streams.video[0]
            pictures = islice(container.decode(stream), limit)
            frames = [_upright(picture) for picture in pictures]
            fps = float(stream.average_rate) if stream.average_rate else None
    except (av.FFmpegError, IndexError) as error:
        raise UserError(
            f"{path} is no video that can be decoded ({error}); re-encode it as H.264."
        ) from error
    if not frames:
        raise UserError(f"{path} holds no frame; re-encode it as H.264.")
    return Clip(frames=np.stack(frames), fps=fps)


def _upright(picture: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
    """RGB, turned as the file says (counter-clockwise degrees)."""
    return np.rot90(picture.to_ndarray(format="rgb24"), round(picture.rotation / 90))


def _read_folder(folder: Path, limit: int | None) -> UInt8[np.ndarray, "f h w 3"]:
    files = frame_files(folder)[:limit]
    if not files:
        raise UserError(f"{folder}: expected image files as frames, found none.")
    frames = [images.read(file) for file in files]
    odd = next((i for i, f in enumerate(frames) if f.shape != frames[0].shape), None)
    if odd is not None:
        (h, w), (i, j) = frames[0].shape[:2], frames[odd].shape[:2]
        raise UserError(
            f"{files[odd]} has {j}x{i} pixels where {files[0].name} has {w}x{h}; "
            "frames of one clip must share a size."
        )
    return np.stack(frames)
