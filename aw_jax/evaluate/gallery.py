"""Strips of pictures, inlined so that a page stays whole wherever it is sent."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import cv2
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import UInt8
from aw_jax.images.psnr import psnr
from aw_jax.images.quantise import dequantise
from aw_jax.media import images, videos

QUALITIES = ((960, 90), (720, 85), (540, 80), (400, 75), (280, 65), (200, 50))
"""Longest side in pixels and JPEG quality, tried in this order against the budget."""


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One moment seen several ways, side by side."""

    name: str
    pictures: tuple[tuple[str, Path | None], ...]
    """(what it shows, its file or None) from left to right."""


def strips(
    folder: Path, columns: Sequence[str], *, names: Sequence[str]
) -> list[Strip]:
    """Strips of `names` from the folders `columns`; empty columns are left out."""
    files = {column: picture_files(folder / column) for column in columns}
    shown = [c for c in columns if any(name in files[c] for name in names)]
    return [
        Strip(name=name, pictures=tuple((c, files[c].get(name)) for c in shown))
        for name in names
    ]


def picture_files(folder: Path) -> dict[str, Path]:
    """The image files in `folder` by name without suffix; none where it is absent."""
    if not folder.is_dir():
        return {}
    return {path.stem: path for path in videos.frame_files(folder)}


def spread(names: Sequence[str], most: int) -> list[str]:
    """At most `most` of `names`, at equal distances, the first and last among them."""
    picked = np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int)
    return [names[i] for i in picked.tolist()]


def gallery(sections: Sequence[Sequence[Strip]], *, budget: int) -> list[str]:
    """The sections as HTML, in the best quality that stays under `budget` bytes."""
    for side, quality in QUALITIES:
        pages = ["".join(_strip(s, side, quality) for s in part) for part in sections]
        if sum(map(len, pages)) <= budget:
            return pages
    return ["<p>The pictures are too many to be shown here.</p>" for _ in sections]


def _strip(strip: Strip, side: int, quality: int) -> str:
    truth = dict(strip.pictures).get("truth")
    figures = "".join(
        _figure(label, path, truth, side, quality) for label, path in strip.pictures
    )
    width = max(_column_width(path) for _, path in strip.pictures if path is not None)
    columns = (
        f"grid-template-columns: repeat({len(strip.pictures)}, minmax(0, {width}px))"
    )
    return (
        f'<p class="name">{escape(strip.name)}</p>'
        f'<div class="strip" style="{columns}">{figures}</div>'
    )


def _figure(
    label: str, path: Path | None, truth: Path | None, side: int, quality: int
) -> str:
    if path is None:
        return f'<figure><div class="missing">no {escape(label)}</div></figure>'
    compared = label not in ("truth", "heatmap") and truth is not None
    note = f"<span>{_decibels(path, truth)}</span>" if compared else ""
    return (
        f'<figure><img alt="{escape(label)}" src="{_inlined(path, side, quality)}">'
        f"<figcaption><span>{escape(label)}</span>{note}</figcaption></figure>"
    )


def _column_width(path: Path) -> int:
    """Pixels on the page: tall pictures narrower, small ones not blown up far."""
    height, width = images.read(path).shape[:2]
    return round(min(380, 430 * width / height, 2.5 * width))


def _inlined(path: Path, side: int, quality: int) -> str:
    picture = _coloured(images.read(path))
    ratio = side / max(picture.shape[:2])
    if ratio < 1:
        size = [max(1, round(n * ratio)) for n in picture.shape[1::-1]]
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    data = images.encode(picture, ".jpg", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def _coloured(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Gray pictures are heatmaps: black where clean, through red, to pale yellow."""
    if (picture != picture[..., :1]).any():
        return picture
    colours = cv2.applyColorMap(picture, cv2.COLORMAP_INFERNO)
    return cv2.cvtColor(colours, cv2.COLOR_BGR2RGB)


def _decibels(path: Path, truth: Path) -> str:
    a, b = (dequantise(jnp.asarray(images.read(p))) for p in (path, truth))
    return f"{float(psnr(a, b)):.2f} dB" if a.shape == b.shape else ""
