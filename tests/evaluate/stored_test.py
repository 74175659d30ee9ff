"""Shards as truths: figures by type, what doing nothing is worth, and which set."""

import dataclasses

import numpy as np
import pytest

from aw_jax.core import atomic
from aw_jax.core.errors import UserError
from aw_jax.data import clips, records
from aw_jax.data.clips import ClipRecord
from aw_jax.dataengine import manifest
from aw_jax.evaluate.figures import EvaluateConfig, evaluate
from aw_jax.evaluate.tables import result_table
from aw_jax.media import images, videos
from aw_jax.metrics.frames import FrameMetricsConfig

CONFIG = EvaluateConfig(metrics=FrameMetricsConfig(lpips_net="none"), anchored=2)
TYPES = {
    "000-0-needles": ["needles"],
    "000-1-cracks": ["cracks"],
    "001-0-needles": ["needles"],
    "001-1-2-types": ["floaters", "cracks"],
}


def clip(index, name):
    rng = np.random.default_rng(index)
    clean = rng.integers(60, 190, (6, 16, 20, 3)).astype(np.uint8)
    noise = rng.integers(-8 * index - 5, 8 * index + 5, clean.shape)
    notes = {
        "name": name,
        "scene": 11_000_000 + index,
        "draw": 0,
        "types": TYPES[name],
        "severities": dict.fromkeys(TYPES[name], 0.5),
    }
    return ClipRecord(
        clean=clean,
        artifact=(clean + noise).astype(np.uint8),
        heatmap=rng.integers(0, 256, (6, 16, 20), np.uint8),
        mask=rng.integers(0, 256, (6, 16, 20), np.uint8),
        notes=notes,
    )


CLIPS = {name: clip(index, name) for index, name in enumerate(TYPES)}


def write(folder, made):
    path = folder / f"clips{records.SUFFIX}"
    records.write_shard(path, map(clips.to_bytes, made))
    images.write(folder / "clips.png", np.zeros((8, 8, 3), np.uint8))  # as jobs do


@pytest.fixture
def truth(tmp_path):
    write(tmp_path / "gt", CLIPS.values())
    return tmp_path / "gt"


@pytest.fixture
def prediction(tmp_path):
    """Half of each clip's damage is undone."""
    for name, one in CLIPS.items():
        half = (one.clean.astype(int) + one.artifact) // 2
        videos.write_frames(tmp_path / "pred" / name, half.astype(np.uint8))
    return tmp_path / "pred"


def psnr(one, frames):
    shown = ((one.clean.astype(int) + one.artifact) // 2).astype(np.uint8)
    gaps = (shown.astype(np.float64) - one.clean)[frames] / 255
    return np.mean([-10 * np.log10((gap**2).mean()) for gap in gaps])


def test_figures_by_type_are_means_over_its_clips(prediction, truth):
    result = evaluate("restoration", prediction, truth, config=CONFIG)
    seen = {name: psnr(one, slice(1, 4)) for name, one in CLIPS.items()}
    rows = {
        "needles": ["000-0-needles", "001-0-needles"],
        "cracks": ["000-1-cracks"],
        "one type": ["000-0-needles", "000-1-cracks", "001-0-needles"],
        "2 types": ["001-1-2-types"],
        "several types": ["001-1-2-types"],
    }
    assert list(result["groups"]) == list(rows)
    for row, names in rows.items():
        found = result["groups"][row]
        assert found["count"] == len(names)
        want = np.mean([seen[name] for name in names])
        assert found["seen"]["psnr"] == pytest.approx(want, abs=1e-4)  # in float32
    every = np.mean([psnr(one, slice(None)) for one in CLIPS.values()])
    assert result["mean"]["all"]["psnr"] == pytest.approx(every, abs=1e-4)


def test_the_shards_themselves_are_what_doing_nothing_is_worth(truth):
    result = evaluate("restoration", truth, truth, config=CONFIG)
    for name, one in CLIPS.items():
        gaps = (one.artifact.astype(np.float64) - one.clean) / 255
        want = np.mean(-10 * np.log10((gaps**2).mean(axis=(1, 2, 3))))
        got = result["items"][name]["all"]["psnr"]
        assert got == pytest.approx(want, abs=1e-4)  # in float32


def test_heatmaps_are_compared_with_labels_by_type(tmp_path, truth):
    for name, one in CLIPS.items():
        mixed = one.heatmap // 2 + np.roll(one.heatmap, 1, axis=1) // 2
        videos.write_frames(tmp_path / name, np.repeat(mixed[..., None], 3, axis=-1))
    result = evaluate("heatmap", tmp_path, truth, config=CONFIG)
    values = {}
    for name, one in CLIPS.items():
        mixed = one.heatmap // 2 + np.roll(one.heatmap, 1, axis=1) // 2
        values[name] = np.corrcoef(mixed[1:4].ravel(), one.heatmap[1:4].ravel())[0, 1]
    want = np.mean([values["000-0-needles"], values["001-0-needles"]])
    got = result["groups"]["needles"]["seen"]
    assert got["pearson"] == pytest.approx(want, abs=1e-5)
    assert got["pooled"] == pytest.approx(want, abs=0.05)  # not the mean, but near


def test_clips_without_labels_say_how_to_get_them(tmp_path, truth, prediction):
    bare = [dataclasses.replace(one, heatmap=None) for one in CLIPS.values()]
    write(truth, bare)
    with pytest.raises(
        UserError, match=r"record 0: expected a heatmap.*launcher label"
    ):
        evaluate("heatmap", prediction, truth, config=CONFIG)


def test_the_table_has_a_row_a_type_and_the_total(prediction, truth):
    result = evaluate("restoration", prediction, truth, config=CONFIG)
    lines = result_table(result).splitlines()
    rows = ["needles", "cracks", "one type", "2 types", "several types", "total"]
    assert [line.split("  ")[0] for line in lines[2:8]] == rows
    value = result["groups"]["needles"]["all"]["psnr"]
    assert lines[0].split()[:5] == ["count", "all", "lpips", "all", "psnr"]
    assert lines[2].split()[1:4] == ["2", "-", f"{value:.2f}"]
    assert lines[7].split()[1] == "4"


def freeze(folder):
    found = manifest.describe(folder, config={}, versions={})
    manifest.save(folder / "manifest.json", found)


def test_figures_say_whether_the_set_is_the_frozen_one(prediction, truth):
    freeze(truth)
    result = evaluate("restoration", prediction, truth, config=CONFIG)
    assert result["benchmark"]["verdict"] == "not compared with a frozen set"
    words = {"verdict": "not bit-identical to the frozen set"}
    atomic.write_json(truth / "verdict.json", words)
    result = evaluate("restoration", prediction, truth, config=CONFIG)
    assert result["benchmark"] == {"clips": 4, "scored": 4} | words
    assert "benchmark: not bit-identical" in result_table(result)


def test_clips_without_predictions_make_no_benchmark(prediction, truth):
    freeze(truth)
    for path in (prediction / "000-1-cracks").iterdir():
        path.unlink()
    result = evaluate("restoration", prediction, truth, config=CONFIG)
    assert result["unmatched"]["gt"] == ["000-1-cracks"]
    assert "Only 3 of its 4 clips have predictions" in result_table(result)


def test_clips_that_changed_since_are_named(prediction, truth):
    freeze(truth)
    last = CLIPS["001-1-2-types"]
    changed = dataclasses.replace(last, mask=255 - last.mask)
    write(truth, [*list(CLIPS.values())[:3], changed])
    with pytest.raises(
        UserError, match="record 3: clip 001-1-2-types has other pixels"
    ):
        evaluate("restoration", prediction, truth, config=CONFIG)
    write(truth, list(CLIPS.values())[:3])
    with pytest.raises(UserError, match=r"clip 001-1-2-types: in manifest\.json, but"):
        evaluate("restoration", prediction, truth, config=CONFIG)


def test_two_clips_of_one_name_are_refused(prediction, truth):
    write(truth, [*CLIPS.values(), CLIPS["000-0-needles"]])
    with pytest.raises(UserError, match="record 4: the name 000-0-needles was"):
        evaluate("restoration", prediction, truth, config=CONFIG)


def test_clips_of_other_jobs_are_named_by_where_they_stand(tmp_path, truth):
    bare = [dataclasses.replace(one, notes={}) for one in CLIPS.values()]
    write(truth, bare)
    result = evaluate("restoration", truth, truth, config=CONFIG)
    assert list(result["items"]) == [f"clips-{i:04d}" for i in range(4)]
    assert "groups" not in result
