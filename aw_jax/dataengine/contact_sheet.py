"""A picture of a few clips of a shard: clean, broken, and where it is broken."""

from collections.abc import Sequence

import cv2
import numpy as np

from aw_jax.core.arrays import UInt8
from aw_jax.data.clips import ClipRecord

MOST = 12
COLUMNS = 2
LEAST_SIDE = 96
"""Smaller frames are enlarged by repetition."""
CAPTION = 12
"""Pixels of one line of text."""
LINES, WORDS = 3, 3
"""Of text, and names a line: all nine types fit."""
SIZE = 0.3


def contact_sheet(clips: Sequence[ClipRecord]) -> UInt8[np.ndarray, "h w 3"]:
    """Middle frames of up to 12 clips, evenly taken, with their types above."""
    picked = np.linspace(0, len(clips) - 1, min(MOST, len(clips))).round().astype(int)
    cells = [_cell(clips[i]) for i in picked]
    cells += [np.zeros_like(cells[0])] * (-len(cells) % COLUMNS)
    rows = [cells[i : i + COLUMNS] for i in range(0, len(cells), COLUMNS)]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def _cell(clip: ClipRecord) -> UInt8[np.ndarray, "h w 3"]:
    """Clean, broken and mask side by side under its caption."""
    at = len(clip.clean) // 2
    frames = [clip.clean[at], clip.artifact[at]]
    if clip.mask is not None:
        frames.append(np.repeat(clip.mask[at][..., None], 3, axis=-1))
    times = -(-LEAST_SIDE // min(clip.clean.shape[1:3]))
    picture = np.concatenate(frames, axis=1).repeat(times, 0).repeat(times, 1)
    strip = np.zeros((LINES * CAPTION, picture.shape[1], 3), np.uint8)
    for line, text in enumerate(_caption(clip)):
        place = (2, CAPTION * (line + 1) - 3)
        cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, SIZE, (255,) * 3)
    return np.concatenate([strip, picture])


def _caption(clip: ClipRecord) -> list[str]:
    """Types with their severities, or the route and its steps."""
    notes = clip.notes
    asked = notes.get("severities")
    if not asked:
        return [f"{notes['route']}", f"{notes.get('steps')} steps"]
    words = [f"{name} {value:.1f}" for name, value in asked.items()]
    return ["  ".join(words[i : i + WORDS]) for i in range(0, len(words), WORDS)]
