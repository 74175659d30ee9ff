"""The pictures of a run: test views beside their truth, clips of the last round."""

from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float
from aw_jax.data.views import file_stem
from aw_jax.images.quantise import quantise
from aw_jax.media import images
from aw_jax.reconstruct.clips import RenderedClip, RestoredClip
from aw_jax.reconstruct.measure import renders
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.targets import Targets


def write_truth(folder: Path, targets: Sequence[Targets], names: Sequence[str]) -> None:
    """Writes the photos of `targets` as folder/truth/NAME.png."""
    photos = [image for group in targets for image in group.images]
    _write_all(folder / "truth", photos, names)


def write_renders(
    folder: Path, splat: Splat, targets: Sequence[Targets], names: Sequence[str]
) -> None:
    """Writes what `splat` shows of the views of `targets` as folder/NAME.png."""
    seen = [image for group in renders(splat, targets) for image in group]
    _write_all(folder, seen, names)


def write_clips(
    folder: Path, clips: Sequence[tuple[RenderedClip, RestoredClip]]
) -> None:
    """Writes render, heatmap and restored frames of clips, named clipI-FFF.png."""
    for index, (clip, restored) in enumerate(clips):
        grey = np.repeat(np.asarray(restored.heatmap)[..., None], 3, axis=-1)
        names = [f"clip{index}-{frame:03d}" for frame in range(len(grey))]
        _write_all(folder / "render", clip.artifact, names)
        _write_all(folder / "heatmap", grey, names)
        _write_all(folder / "restored", restored.frames, names)


def _write_all(
    folder: Path,
    pictures: Sequence[Float[np.ndarray, "_ _ 3"] | Float[Array, "_ _ 3"]]
    | Float[Array, "f h w 3"]
    | Float[np.ndarray, "f h w 3"],
    names: Sequence[str],
) -> None:
    for picture, name in zip(pictures, names, strict=True):
        file = folder / f"{file_stem(name)}.png"
        images.write(file, np.asarray(quantise(jnp.asarray(picture))))
