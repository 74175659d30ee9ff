"""The manifest that freezes a set of clips: anyone can make them again, and tell.

It holds what the clips are made of (config, seeds, severities, draws) and what came
out: sha256 of the decoded pixels, and thumbnails. `verification` compares two of them.
"""

import base64
import dataclasses
import hashlib
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import jaxlib
import numpy as np

from aw_jax.config.report import from_dict, to_dict
from aw_jax.core import atomic
from aw_jax.core.arrays import UInt8
from aw_jax.core.errors import UserError
from aw_jax.data import clips, records
from aw_jax.data.clips import ClipRecord
from aw_jax.images.resize import area
from aw_jax.media import images
from aw_jax.native import build
from aw_jax.splat.kernels import native

MANIFEST = "manifest.json"
SIDE = 12
"""Of a thumbnail, in pixels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One clip."""

    name: str
    scene: int
    """The seed of its world."""
    draw: int
    """Which of the clip's drawings, from 0, passed the gate."""
    severities: dict[str, float]
    sha256: dict[str, str]
    """Of the decoded bytes of `clean`, `artifact` and `mask`."""
    thumbnails: str
    """PNG in base64: first, middle and last artifact frame, and middle clean one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """A set of clips, frozen."""

    config: dict[str, Any]
    """Of the job that made them."""
    platform: str
    """Where sums are rounded in this way."""
    versions: dict[str, str | None]
    clips: tuple[Entry, ...]


def this_platform() -> str:
    """What decides how sums are rounded: processor, JAX, and the rasterizer in use.

    Where it differs bits may still be the same; where it does not, they must be.
    """
    on_cpu = jax.default_backend() == "cpu"
    chip = _processor() if on_cpu else jax.devices()[0].device_kind
    raster = "native" if on_cpu and native.available() else "xla"
    return (
        f"{platform.system()}, {chip}, jax {jax.__version__}, "
        f"jaxlib {jaxlib.__version__}, {raster} rasterizer"
    )


def _processor() -> str:
    """Model, lane width and cores, as far as the system tells."""
    told = build.cpu_description()
    model = re.search(r"'model name': '([^']*)'", told)
    lanes = build.machine_flags(told)[0].removeprefix("-DAW_LANES=")
    name = model.group(1) if model else platform.processor()
    return f"{platform.machine()} {name}, {lanes} lanes, {os.cpu_count()} cores"


def named_clips(folder: Path) -> Iterator[tuple[str, ClipRecord]]:
    """The clips of a benchmark folder under their names, shard by shard."""
    for path in records.shards(folder):
        for index, clip in enumerate(clips.read_clips(path)):
            yield clip_name(clip.notes, path, index), clip


def clip_name(notes: dict[str, Any], shard: Path, index: int) -> str:
    """What predictions of a clip are called: its own name, or where it stands."""
    return notes.get("name") or f"{shard.stem}-{index:04d}"


def entry(name: str, clip: ClipRecord) -> Entry:
    """A clip's line in the manifest."""
    return Entry(
        name=name,
        scene=clip.notes["scene"],
        draw=clip.notes["draw"],
        severities=clip.notes["severities"],
        sha256=digests(clip),
        thumbnails=_thumbnails(clip),
    )


def digests(clip: ClipRecord) -> dict[str, str]:
    """sha256 of what a clip holds, labels left out."""
    arrays = {"clean": clip.clean, "artifact": clip.artifact, "mask": clip.mask}
    return {
        name: hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        for name, array in arrays.items()
        if array is not None
    }


def describe(
    folder: Path, *, config: dict[str, Any], versions: dict[str, str | None]
) -> Manifest:
    """The manifest of the clips that stand in `folder`, read from their shards."""
    return Manifest(
        config=config,
        platform=this_platform(),
        versions=versions,
        clips=tuple(entry(name, clip) for name, clip in named_clips(folder)),
    )


def save(path: Path, manifest: Manifest) -> None:
    """Writes a manifest, atomically."""
    atomic.write_json(path, to_dict(manifest))


def load(path: Path) -> Manifest:
    """The manifest in a file.

    Raises:
        UserError: there is no such file, or it holds something else.
    """
    try:
        data = atomic.read_json(path)
        entries = tuple(from_dict(Entry, one) for one in data.pop("clips"))
        return Manifest(clips=entries, **data)
    except FileNotFoundError as error:
        raise UserError(f"{path}: expected a manifest, found no file.") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}: expected a manifest of clips, got something else ({error})."
        ) from error


def _thumbnails(clip: ClipRecord) -> str:
    last = len(clip.clean) - 1
    shown = np.stack([*clip.artifact[[0, last // 2, last]], clip.clean[last // 2]])
    small = np.asarray(area(jnp.asarray(shown, jnp.float32), height=SIDE, width=SIDE))
    strip = np.concatenate(np.round(small).astype(np.uint8), axis=1)
    return base64.b64encode(images.encode(strip, ".png")).decode()


def pixels(text: str) -> UInt8[np.ndarray, "h w 3"]:
    """The thumbnails of an entry, side by side."""
    data = np.frombuffer(base64.b64decode(text), np.uint8)
    strip = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if strip is None:
        raise UserError("manifest: a clip's thumbnails are no PNG; take it anew.")
    return cv2.cvtColor(strip, cv2.COLOR_BGR2RGB)
