"""Figures of predictions against truths, for the three things we measure (Sec. 5).

reconstruction   PSNR, SSIM, LPIPS of rendered test views
restoration      the same of restored clips, over all frames and over the frames
                 1 .. f - k - 1 whose renders the model saw
heatmap          Pearson correlation of heatmap clips, per clip and pooled
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.core.errors import UserError
from aw_jax.data.masks import read_mask
from aw_jax.evaluate.matching import Matched, Pair, match_clips, match_images
from aw_jax.media import images, videos
from aw_jax.metrics.accumulators import mean_of
from aw_jax.metrics.frames import FrameMetricsConfig, frame_figures, variants
from aw_jax.metrics.pearson import Pearson, moments, pearson_of


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """How predictions are measured."""

    metrics: FrameMetricsConfig = FrameMetricsConfig()
    anchored: int = 8
    """k: last frames of a clip that the model saw as clean views."""
    masks: str | None = None
    """Of reconstruction: a folder of NAME.png; where one is black counts as right."""


def evaluate(
    task: str, prediction: Path, truth: Path, *, config: EvaluateConfig
) -> dict[str, Any]:
    """Figures of every item, their mean, and the variants they are, ready for JSON.

    Raises:
        UserError: an unknown task, or folders that do not match.
    """
    if task not in TASKS:
        raise UserError(f"--task: expected one of {', '.join(TASKS)}, got {task!r}.")
    return {"task": task} | TASKS[task](prediction, truth, config)


def reconstruction(
    prediction: Path, truth: Path, config: EvaluateConfig
) -> dict[str, Any]:
    """PSNR, SSIM and LPIPS of each image, and their mean over images."""
    matched = match_images(prediction, truth)
    masks = None if config.masks is None else Path(config.masks)
    if masks is not None and not masks.is_dir():
        raise UserError(f"--config.masks={masks}: expected a folder of NAME.png.")
    items = {
        pair.name: frame_figures(*_counting(pair, masks), config=config.metrics).means()
        for pair in matched.pairs
    }
    told = {"variants": variants(config.metrics), "mean": _means(items)}
    return told | _listing(matched, items)


def restoration(
    prediction: Path, truth: Path, config: EvaluateConfig
) -> dict[str, Any]:
    """PSNR, SSIM and LPIPS of each clip over all, and over seen frames."""
    matched = match_clips(prediction, truth)
    items: dict[str, Any] = {}
    for pair in matched.pairs:
        restored, clean = _frames(pair)
        found = frame_figures(restored, clean, config=config.metrics)
        seen = _seen(len(clean), config.anchored)
        items[pair.name] = {"all": found.means(), "seen": found.part(seen).means()}
    mean = {
        span: _means({name: item[span] for name, item in items.items()})
        for span in ("all", "seen")
    }
    told = {"variants": variants(config.metrics), "anchored": config.anchored}
    return told | {"mean": mean} | _listing(matched, items)


def heatmap(prediction: Path, truth: Path, config: EvaluateConfig) -> dict[str, Any]:
    """Pearson correlation of each clip, the mean over clips, and pooled over pixels."""
    matched = match_clips(prediction, truth)
    total = {"all": Pearson(), "seen": Pearson()}
    items: dict[str, Any] = {}
    for pair in matched.pairs:
        guess, heat = (frames.mean(-1) for frames in _frames(pair))
        spans = {"all": slice(None), "seen": _seen(len(heat), config.anchored)}
        found = {span: moments(guess[cut], heat[cut]) for span, cut in spans.items()}
        total = {span: total[span] + pearson_of(found[span]) for span in spans}
        items[pair.name] = {
            span: {"pearson": found[span].correlation} for span in spans
        }
    mean = {
        span: {
            "pearson": sums.clips.value,
            "pooled": sums.pooled.correlation,
            "constant_clips": sums.clips.skipped,
        }
        for span, sums in total.items()
    }
    return {"anchored": config.anchored, "mean": mean} | _listing(matched, items)


TASKS = {
    "reconstruction": reconstruction,
    "restoration": restoration,
    "heatmap": heatmap,
}


def _frames(
    pair: Pair,
) -> tuple[Float[np.ndarray, "f h w 3"], Float[np.ndarray, "f h w 3"]]:
    guess, truth = _read(pair.prediction), _read(pair.truth)
    if guess.shape != truth.shape:
        raise UserError(
            f"{pair.name}: {pair.prediction} has {_size(guess)} where {pair.truth} has "
            f"{_size(truth)}; both must have the same frames and pixels."
        )
    return guess, truth


def _counting(
    pair: Pair, masks: Path | None
) -> tuple[Float[np.ndarray, "f h w 3"], Float[np.ndarray, "f h w 3"]]:
    """The pair, its prediction the truth itself where a mask is black."""
    guess, truth = _frames(pair)
    if masks is None or not (masks / f"{pair.name}.png").is_file():
        return guess, truth
    used = read_mask(masks / f"{pair.name}.png", pair.truth, truth.shape[1:3])
    return np.where(used[..., None], guess, truth), truth


def _read(path: Path) -> Float[np.ndarray, "f h w 3"]:
    single = path.is_file() and path.suffix.lower() in images.SUFFIXES
    frames = images.read(path)[None] if single else videos.read(path).frames
    return frames.astype(np.float32) / 255


def _size(frames: np.ndarray) -> str:
    return f"{len(frames)} x {frames.shape[2]}x{frames.shape[1]}"


def _seen(frames: int, anchored: int) -> slice:
    if frames < anchored + 2:
        raise UserError(
            f"clip of {frames} frames: with anchored={anchored} none is left between "
            f"the clean views; expected at least {anchored + 2}."
        )
    return slice(1, frames - anchored)


def _means(items: dict[str, dict[str, float | None]]) -> dict[str, float | None]:
    names = next(iter(items.values()))
    return {n: mean_of(item[n] for item in items.values()).value for n in names}


def _listing(matched: Matched, items: dict[str, Any]) -> dict[str, Any]:
    return {
        "count": len(items),
        "items": items,
        "unmatched": {
            "pred": list(matched.only_prediction),
            "gt": list(matched.only_truth),
        },
    }
