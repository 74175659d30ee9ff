import json

import numpy as np
import pytest

from aw_jax.data import clips, records
from aw_jax.data.clips import ClipRecord
from aw_jax.dataengine import label_shards
from aw_jax.dataengine.label_shards import label_folder, measure_folder
from aw_jax.dataengine.labels import LabelConfig, Labeller
from aw_jax.models.lpips import weights

CONFIG = LabelConfig(net="lpips-alex", constant=0.02, anchored=2, batch=4)


@pytest.fixture(autouse=True)
def net(monkeypatch):
    rng = np.random.default_rng(3)
    kernels, heads = weights._shapes("lpips-alex")
    draw = lambda shape: rng.standard_normal(shape, dtype=np.float32) * 0.05
    pairs = [(draw(shape), draw(size)) for shape, size in kernels]
    made = weights.from_arrays("lpips-alex", pairs, [abs(draw(size)) for size in heads])
    monkeypatch.setattr(weights, "load", lambda name: made)


def clip(trajectory, number):
    clean = np.random.default_rng(trajectory).integers(0, 256, (7, 40, 48, 3), np.uint8)
    noise = np.random.default_rng(100 + number).integers(-60, 60, clean.shape)
    artifact = np.clip(clean + noise, 0, 255).astype(np.uint8)
    mask = np.where(noise.max(-1) > 40, 255, 0).astype(np.uint8) if number % 2 else None
    notes = {"number": number, "mask_kind": "edit"}
    return ClipRecord(clean=clean, artifact=artifact, mask=mask, notes=notes)


@pytest.fixture
def folder(tmp_path):
    """Two shards; clips of one trajectory do not follow each other."""
    numbers = [[(0, 0), (1, 1), (0, 2), (1, 3)], [(2, 4), (2, 5)]]
    for index, shard in enumerate(numbers):
        made = (clips.to_bytes(clip(*pair)) for pair in shard)
        records.write_shard(tmp_path / f"part-{index}{records.SUFFIX}", made)
    return tmp_path


def read(folder):
    return [c for path in records.shards(folder) for c in clips.read_clips(path)]


def test_every_clip_gets_the_heatmap_of_its_own_pair(folder):
    assert label_folder(folder, config=CONFIG) == 6
    labeller = Labeller(CONFIG)
    for number, found in enumerate(read(folder)):
        assert found.notes["number"] == number
        want = labeller.heatmaps(found.clean, found.artifact)
        np.testing.assert_array_equal(found.heatmap, want)
        assert found.notes["label"]["net"] == "lpips-alex"


def test_a_label_adds_to_a_clip_and_takes_nothing_away(folder):
    before = read(folder)
    label_folder(folder, config=CONFIG)
    for was, found in zip(before, read(folder), strict=True):
        for name in ("clean", "artifact", "mask"):
            np.testing.assert_array_equal(getattr(found, name), getattr(was, name))
        assert found.notes.items() > was.notes.items()


def test_the_set_states_what_its_labels_are(folder):
    label_folder(folder, config=CONFIG, every=3)
    stated = json.loads((folder / "labels.json").read_text())
    label = {"net": "lpips-alex", "fed": "[-1,1]", "constant": 0.02, "anchored": 2}
    assert stated == label | {"clips": 6, "labelled": 3}
    label_folder(folder, config=CONFIG)
    label_folder(folder, config=CONFIG, first=1)
    stated = json.loads((folder / "labels.json").read_text())
    assert stated == label | {"clips": 6, "labelled": 6}
    assert all(c.notes["label"] == label for c in read(folder))


def test_labelled_shards_are_left_alone_and_another_label_replaces_them(folder):
    label_folder(folder, config=CONFIG)
    before = {p: p.stat().st_mtime_ns for p in records.shards(folder)}
    assert label_folder(folder, config=CONFIG) == 0
    assert before == {p: p.stat().st_mtime_ns for p in records.shards(folder)}
    other = LabelConfig(net="lpips-alex", constant=0.04, anchored=2, batch=4)
    assert label_folder(folder, config=other) == 6


def test_a_stopped_run_goes_on_with_the_first_unlabelled_shard(folder, monkeypatch):
    real, seen = label_shards._heatmaps, []

    def stop_at_second(labeller, found):
        if seen:
            raise KeyboardInterrupt
        seen.append(len(found))
        return real(labeller, found)

    label_folder(folder, config=LabelConfig(net="lpips-alex", constant=0.1, anchored=2))
    monkeypatch.setattr(label_shards, "_heatmaps", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        label_folder(folder, config=CONFIG)
    assert not (folder / "labels.json").exists()
    constants = [c.notes["label"]["constant"] for c in read(folder)]
    assert constants == [0.02] * 4 + [0.1] * 2
    monkeypatch.setattr(label_shards, "_heatmaps", real)
    assert label_folder(folder, config=CONFIG) == 2


def test_progress_ends_at_all_shards(folder):
    calls = []
    label_folder(folder, config=CONFIG, told=lambda *call: calls.append(call))
    assert calls == [(0, 2), (1, 2), (2, 2)]


def test_measured_constant_is_of_clips_spread_over_the_folder(folder):
    entry = measure_folder(folder, config=CONFIG, most=3)
    labeller = Labeller(CONFIG)
    picked = [read(folder)[i] for i in (0, 2, 5)]  # 2.5 rounds to even
    maps = [labeller.distances(c.clean, c.artifact) for c in picked]
    assert entry["constant"] == pytest.approx(np.quantile(maps, 0.995), abs=1e-3)
    assert entry["clips"] == 3
    assert entry["pixels"] == np.size(maps)


def test_a_part_of_every_shard_is_labelled_and_the_rest_kept(folder):
    before = [clips.to_bytes(c) for c in read(folder)]
    assert label_folder(folder, config=CONFIG, every=3) == 3
    after = read(folder)
    assert [c.heatmap is not None for c in after] == [1, 0, 0, 1, 1, 0]
    kept = [i for i, c in enumerate(after) if c.heatmap is None]
    assert [clips.to_bytes(after[i]) for i in kept] == [before[i] for i in kept]
    assert label_folder(folder, config=CONFIG, every=3) == 0
    assert label_folder(folder, config=CONFIG) == 6
