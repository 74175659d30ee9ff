import json

import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.evaluate.figures import EvaluateConfig, evaluate
from aw_jax.evaluate.tables import result_table
from aw_jax.media import images, videos
from aw_jax.metrics.frames import FrameMetricsConfig, frame_figures

CONFIG = EvaluateConfig(metrics=FrameMetricsConfig(lpips_net="none"), anchored=2)


def clip(seed, count=6, noise=0):
    base = np.random.default_rng(seed).integers(60, 190, (count, 16, 20, 3))
    if noise:
        base = base + np.random.default_rng(seed + 50).integers(
            -noise, noise, base.shape
        )
    return base.astype(np.uint8)


@pytest.fixture
def clips(tmp_path):
    for seed, name in enumerate(("one", "two")):
        videos.write_frames(tmp_path / "gt" / name, clip(seed))
        videos.write_frames(tmp_path / "pred" / name, clip(seed, noise=20 + 20 * seed))
    return tmp_path / "pred", tmp_path / "gt"


def test_reconstruction_is_the_mean_over_images(tmp_path):
    for index in range(3):
        images.write(tmp_path / f"gt/{index}.png", clip(index)[0])
        images.write(tmp_path / f"pred/{index}.png", clip(index, noise=30)[0])
    result = evaluate(
        "reconstruction", tmp_path / "pred", tmp_path / "gt", config=CONFIG
    )
    values = [item["psnr"] for item in result["items"].values()]
    assert result["mean"]["psnr"] == pytest.approx(np.mean(values))
    assert result["mean"]["lpips"] is None
    assert result["variants"]["lpips"]["reason"] == "not asked for"
    json.dumps(result, allow_nan=False)


def test_what_a_mask_blackens_counts_as_right(tmp_path):
    mask = np.full((16, 20, 3), 255, np.uint8)
    mask[4:12, 5:15] = 0
    for index in range(2):
        truth, guess = clip(index)[0], clip(index, noise=30)[0]
        images.write(tmp_path / f"gt/{index}.png", truth)
        images.write(tmp_path / f"pred/{index}.png", guess)
        images.write(tmp_path / f"done/{index}.png", np.where(mask, guess, truth))
    images.write(tmp_path / "masks/0.png", mask)
    config = EvaluateConfig(metrics=CONFIG.metrics, masks=str(tmp_path / "masks"))
    found, whole, done = (
        evaluate("reconstruction", tmp_path / name, tmp_path / "gt", config=config)
        for name, config in (("pred", config), ("pred", CONFIG), ("done", CONFIG))
    )
    assert found["items"]["0"] == done["items"]["0"]
    assert found["items"]["1"] == whole["items"]["1"]
    assert found["items"]["0"]["psnr"] > whole["items"]["0"]["psnr"]
    config = EvaluateConfig(metrics=CONFIG.metrics, masks=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="expected a folder"):
        evaluate("reconstruction", tmp_path / "pred", tmp_path / "gt", config=config)


def test_restoration_tells_all_frames_from_those_the_model_saw(clips):
    result = evaluate("restoration", *clips, config=CONFIG)
    for seed, name in enumerate(("one", "two")):
        a, b = (
            clip(seed, noise=n).astype(np.float32) / 255 for n in (20 + 20 * seed, 0)
        )
        figures = frame_figures(a, b, config=CONFIG.metrics)
        item = result["items"][name]
        assert item["all"]["psnr"] == pytest.approx(figures.psnr.mean())
        assert item["seen"]["psnr"] == pytest.approx(figures.psnr[1:4].mean())
    values = [item["seen"]["ssim"] for item in result["items"].values()]
    assert result["mean"]["seen"]["ssim"] == pytest.approx(np.mean(values))


def test_heatmap_is_the_correlation_of_each_clip(clips):
    pred, gt = clips
    flat = np.full_like(clip(0), 90)
    videos.write_frames(pred / "flat", flat)
    videos.write_frames(gt / "flat", clip(0))
    result = evaluate("heatmap", pred, gt, config=CONFIG)
    x, y = (clip(0, noise=n).mean(-1)[1:4].ravel() for n in (20, 0))
    want = np.corrcoef(x, y)[0, 1]
    got = result["items"]["one"]["seen"]["pearson"]
    assert got == pytest.approx(want, abs=1e-4)  # frames are read as float32
    assert result["items"]["flat"]["all"]["pearson"] is None
    assert result["mean"]["all"]["constant_clips"] == 1
    assert 0 < result["mean"]["all"]["pooled"] < 1


@pytest.mark.parametrize("task", ["reconstruction", "restoration", "heatmap"])
def test_table_has_a_row_an_item_and_the_mean(clips, task):
    pred, gt = clips
    videos.write_frames(pred / "alone", clip(9))
    lines = result_table(evaluate(task, pred, gt, config=CONFIG)).splitlines()
    assert [line.split()[0] for line in lines[2:5]] == ["one", "two", "mean"]
    assert lines[5] == "1 files without a partner are left out."
    assert (lines[-1] == "LPIPS: none (not asked for)") == (task != "heatmap")


def test_items_of_two_sizes_are_named(clips):
    pred, gt = clips
    videos.write_frames(pred / "three", clip(3)[:, :8])
    videos.write_frames(gt / "three", clip(3))
    with pytest.raises(UserError, match=r"three: .* 6 x 20x8 where .* 6 x 20x16"):
        evaluate("restoration", pred, gt, config=CONFIG)


def test_clips_without_seen_frames_and_unknown_tasks_are_refused(clips):
    config = EvaluateConfig(metrics=CONFIG.metrics, anchored=8)
    with pytest.raises(UserError, match="expected at least 10"):
        evaluate("heatmap", *clips, config=config)
    with pytest.raises(UserError, match="--task: expected one of reconstruction"):
        evaluate("speed", *clips, config=config)
