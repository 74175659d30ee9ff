"""Figures of predictions against truths, for the three things we measure (Sec. 5).

reconstruction   PSNR, SSIM, LPIPS of rendered test views
restoration      the same of restored clips, over all frames and over the frames
                 1 .. f - k - 1 whose renders the model saw
heatmap          Pearson correlation of heatmap clips, per clip and pooled

Truths of clips may be shards, the benchmark's or others: then means are given by
artifact type too. Where predictions are the same shards, the broken clips themselves
are measured: what doing nothing is worth.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.core.errors import UserError
from aw_jax.data.masks import read_mask
from aw_jax.evaluate.frozen import benchmark_state
from aw_jax.evaluate.matching import Matched, Pair, match_clips, match_images
from aw_jax.evaluate.measured import Measured
from aw_jax.evaluate.stored import Part, Stored, groups, has_shards, stored_clips
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
    task: str,
    prediction: Path,
    truth: Path,
    *,
    config: EvaluateConfig,
    measured: Measured | None = None,
) -> dict[str, Any]:
    """Figures of every item, their mean, and the variants they are, ready for JSON.

    Args:
        task: One of TASKS.
        prediction: Folder of predictions.
        truth: Folder of truths.
        config: How they are measured.
        measured: What an earlier start of the same run has measured, if any.

    Raises:
        UserError: an unknown task, or folders that do not match.
    """
    if task not in TASKS:
        raise UserError(f"--task: expected one of {', '.join(TASKS)}, got {task!r}.")
    told = TASKS[task](prediction, truth, config, measured or Measured())
    return {"task": task} | told


def reconstruction(
    prediction: Path, truth: Path, config: EvaluateConfig, measured: Measured
) -> dict[str, Any]:
    """PSNR, SSIM and LPIPS of each image, and their mean over images."""
    matched = match_images(prediction, truth)
    masks = None if config.masks is None else Path(config.masks)
    if masks is not None and not masks.is_dir():
        raise UserError(f"--config.masks={masks}: expected a folder of NAME.png.")
    items: dict[str, Any] = {}
    for pair in measured.through(matched.pairs):
        frames = _counting(pair, masks)
        measure = partial(_reconstructed, *frames, config)
        items[pair.name] = measured.figures(pair.name, frames, measure)
    told = {"variants": variants(config.metrics), "mean": _means(items)}
    return told | _listing(matched, items)


def restoration(
    prediction: Path, truth: Path, config: EvaluateConfig, measured: Measured
) -> dict[str, Any]:
    """PSNR, SSIM and LPIPS of each clip over all, and over seen frames."""
    matched = match_clips(prediction, truth)
    kind = _set(matched, truth)
    items: dict[str, Any] = {}
    for pair in measured.through(matched.pairs):
        frames = _frames(pair, parts=("artifact", "clean"))
        measure = partial(_restored, *frames, config)
        items[pair.name] = measured.figures(pair.name, frames, measure)

    def mean(names: Iterable[str]) -> dict[str, Any]:
        picked = {name: items[name] for name in names}
        spans = ("all", "seen")
        return {s: _means({n: item[s] for n, item in picked.items()}) for s in spans}

    told = {"variants": variants(config.metrics), "anchored": config.anchored}
    return told | _by_group(matched, mean) | kind | _listing(matched, items)


def heatmap(
    prediction: Path, truth: Path, config: EvaluateConfig, measured: Measured
) -> dict[str, Any]:
    """Pearson correlation of each clip, the mean over clips, and pooled over pixels."""
    matched = match_clips(prediction, truth)
    kind = _set(matched, truth)
    found: dict[str, dict[str, Pearson]] = {}
    for pair in measured.through(matched.pairs):
        guess, heat = (x.mean(-1) for x in _frames(pair, parts=("heatmap", "heatmap")))
        spans = {"all": slice(None), "seen": _seen(len(heat), config.anchored)}
        found[pair.name] = {
            span: pearson_of(moments(guess[cut], heat[cut]))
            for span, cut in spans.items()
        }

    def mean(names: Iterable[str]) -> dict[str, Any]:
        total = {"all": Pearson(), "seen": Pearson()}
        for name in names:
            total = {span: total[span] + found[name][span] for span in total}
        return {span: _correlations(sums) for span, sums in total.items()}

    items = {
        name: {span: {"pearson": one.clips.value} for span, one in spans.items()}
        for name, spans in found.items()
    }
    told = {"anchored": config.anchored}
    return told | _by_group(matched, mean) | kind | _listing(matched, items)


TASKS = {
    "reconstruction": reconstruction,
    "restoration": restoration,
    "heatmap": heatmap,
}


def _reconstructed(
    image: Float[np.ndarray, "f h w 3"],
    truth: Float[np.ndarray, "f h w 3"],
    config: EvaluateConfig,
) -> dict[str, Any]:
    return frame_figures(image, truth, config=config.metrics).means()


def _restored(
    restored: Float[np.ndarray, "f h w 3"],
    clean: Float[np.ndarray, "f h w 3"],
    config: EvaluateConfig,
) -> dict[str, Any]:
    seen = _seen(len(clean), config.anchored)
    found = frame_figures(restored, clean, config=config.metrics)
    return {"all": found.means(), "seen": found.part(seen).means()}


def _frames(
    pair: Pair, *, parts: tuple[Part, Part]
) -> tuple[Float[np.ndarray, "f h w 3"], Float[np.ndarray, "f h w 3"]]:
    """Both sides of a pair; `parts` of stored clips are meant."""
    guess, truth = _read(pair.prediction, parts[0]), _read(pair.truth, parts[1])
    if guess.shape != truth.shape:
        sides = (pair.prediction, pair.truth)
        ours, theirs = (x.where if isinstance(x, Stored) else x for x in sides)
        raise UserError(
            f"{pair.name}: {ours} has {_size(guess)} where {theirs} has "
            f"{_size(truth)}; both must have the same frames and pixels."
        )
    return guess, truth


def _counting(
    pair: Pair, masks: Path | None
) -> tuple[Float[np.ndarray, "f h w 3"], Float[np.ndarray, "f h w 3"]]:
    """The pair, its prediction the truth itself where a mask is black."""
    guess, truth = _frames(pair, parts=("artifact", "clean"))
    if masks is None or not (masks / f"{pair.name}.png").is_file():
        return guess, truth
    assert isinstance(pair.truth, Path)
    used = read_mask(masks / f"{pair.name}.png", pair.truth, truth.shape[1:3])
    return np.where(used[..., None], guess, truth), truth


def _read(path: Path | Stored, part: Part) -> Float[np.ndarray, "f h w 3"]:
    if isinstance(path, Stored):
        return path.frames(part).astype(np.float32) / 255
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


def _correlations(sums: Pearson) -> dict[str, Any]:
    return {
        "pearson": sums.clips.value,
        "pooled": sums.pooled.correlation,
        "constant_clips": sums.clips.skipped,
    }


def _by_group(
    matched: Matched, mean: Callable[[Iterable[str]], dict[str, Any]]
) -> dict[str, Any]:
    """The mean over all clips, and of stored ones by type."""
    told: dict[str, Any] = {"mean": mean(pair.name for pair in matched.pairs)}
    stored = [(p.name, p.truth) for p in matched.pairs if isinstance(p.truth, Stored)]
    found = groups((name, truth.notes) for name, truth in stored)
    rows = {row: {"count": len(names)} | mean(names) for row, names in found.items()}
    return told | ({"groups": rows} if rows else {})


def _set(matched: Matched, truth: Path) -> dict[str, Any]:
    """Which set stored clips are; checked before hours are spent on them."""
    if not has_shards(truth):
        return {}
    return benchmark_state(truth, stored_clips(truth), len(matched.pairs))


def _listing(matched: Matched, items: dict[str, Any]) -> dict[str, Any]:
    return {
        "count": len(items),
        "items": items,
        "unmatched": {
            "pred": list(matched.only_prediction),
            "gt": list(matched.only_truth),
        },
    }
