"""Random cut-outs of clips: what the video autoencoder trains on."""

from pathlib import Path

import grain
import numpy as np

from aw_jax.core.arrays import Float, UInt8
from aw_jax.data.clips import ClipRecord, dataset


def batches(
    folder: str | Path,
    *,
    size: int,
    side: int,
    heatmap_share: float,
    seed: int,
    first: int | None = None,
) -> grain.IterDataset:
    """Endless batches of videos "b f side side 3", float32 in [0, 1].

    Args:
        folder: clip records.
        size: videos in a batch.
        side: rows and columns of a cut-out.
        heatmap_share: probability that a labelled clip gives its heatmap, in grey; the
            rest is shared evenly by clean and artifact frames.
        seed: of order and cut-outs.
        first: how many shards are used; None: all.
    """
    clips = dataset(folder, first=first).shuffle(seed=seed).repeat()

    def cut(clip: ClipRecord, rng: np.random.Generator) -> Float[np.ndarray, "..."]:
        frames = _stream(clip, heatmap_share, rng)
        return _cut(frames, side, rng).astype(np.float32) / np.float32(255)

    return clips.seed(seed).random_map(cut).to_iter_dataset().batch(size)


def _stream(
    clip: ClipRecord, heatmap_share: float, rng: np.random.Generator
) -> UInt8[np.ndarray, "f h w 3"]:
    if clip.heatmap is not None and rng.random() < heatmap_share:
        return np.repeat(clip.heatmap[..., None], 3, axis=-1)
    return clip.clean if rng.random() < 0.5 else clip.artifact


def _cut(
    frames: UInt8[np.ndarray, "f h w 3"], side: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "f side side 3"]:
    """A window, mirrored, turned and played backwards with even chance."""
    rows, columns = frames.shape[1:3]
    y, x = rng.integers(0, rows - side + 1), rng.integers(0, columns - side + 1)
    frames = frames[:, y : y + side, x : x + side]
    if rng.random() < 0.5:
        frames = frames[:, :, ::-1]
    if rng.random() < 0.5:
        frames = frames.swapaxes(1, 2)
    return frames[::-1] if rng.random() < 0.5 else frames
