"""What a manifest says of clips, and what a changed clip, or another machine, does."""

import dataclasses

import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data import clips, records
from aw_jax.data.clips import ClipRecord
from aw_jax.dataengine import manifest
from aw_jax.dataengine.verification import compare


def clip(seed, width=30):
    rng = np.random.default_rng(seed)
    clean, artifact = rng.integers(40, 200, (2, 9, 24, width, 3), np.uint8)
    mask = rng.integers(0, 256, (9, 24, width), np.uint8)
    notes = {
        "name": f"00{seed}-needles",
        "scene": 11_000_000 + seed,
        "draw": 1,
        "types": ["needles"],
        "severities": {"needles": 0.5},
    }
    return ClipRecord(clean=clean, artifact=artifact, mask=mask, notes=notes)


def write(folder, made):
    for name, part in (("a", made[:2]), ("b", made[2:])):
        path = folder / f"{name}{records.SUFFIX}"
        records.write_shard(path, map(clips.to_bytes, part))


def described(folder):
    return manifest.describe(folder, config={"single": 1}, versions={"git": "abc"})


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frozen")
    write(folder, [clip(seed) for seed in range(3)])
    return described(folder)


def with_artifact(seed, change, width=30):
    was = clip(seed, width)
    moved = np.clip(was.artifact.astype(int) + change, 0, 255).astype(np.uint8)
    return dataclasses.replace(was, artifact=moved)


def elsewhere(found):
    return dataclasses.replace(found, platform="Plan9 mips, jax 0.1")


def test_a_manifest_comes_back_from_its_file(frozen, tmp_path):
    manifest.save(tmp_path / "manifest.json", frozen)
    assert manifest.load(tmp_path / "manifest.json") == frozen
    with pytest.raises(UserError, match="found no file"):
        manifest.load(tmp_path / "nowhere.json")
    for text in ("{", "[]", '{"clips": [{"name": "x"}]}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(UserError, match=r"bad\.json: expected a manifest"):
            manifest.load(tmp_path / "bad.json")


def test_thumbnails_are_area_means_of_four_frames(frozen):
    strip = manifest.pixels(frozen.clips[1].thumbnails).astype(int)
    was = clip(1)
    shown = [*was.artifact[[0, 4, 8]], was.clean[4]]
    # 24 x 30 to 12 x 12: pairs of rows, and two and a half columns.
    halves = [np.repeat(x.astype(float), 2, axis=1) for x in shown]
    small = [x.reshape(12, 2, 12, 5, 3).mean(axis=(1, 3)) for x in halves]
    assert abs(strip - np.concatenate(small, axis=1)).max() <= 0.51


def test_the_same_clips_are_identical_whatever_labels_they_carry(frozen, tmp_path):
    heat = np.full((9, 24, 30), 7, np.uint8)
    labelled = [dataclasses.replace(clip(s), heatmap=heat) for s in range(3)]
    write(tmp_path, labelled)
    verdict = compare(described(tmp_path), frozen)
    assert verdict.identical
    assert str(verdict) == "bit-identical to the frozen set"


def test_one_level_of_one_pixel_is_found_on_the_same_platform(frozen, tmp_path):
    change = np.zeros((9, 24, 30, 3), int)
    change[3, 5, 7, 1] = 1
    write(tmp_path, [clip(0), with_artifact(1, change), clip(2)])
    with pytest.raises(UserError, match="clip 001-needles: other bits than the frozen"):
        compare(described(tmp_path), frozen)


def test_a_changed_mask_is_found_too(frozen, tmp_path):
    changed = dataclasses.replace(clip(2), mask=255 - clip(2).mask)
    write(tmp_path, [clip(0), clip(1), changed])
    with pytest.raises(UserError, match="clip 002-needles: other bits"):
        compare(described(tmp_path), frozen)


def test_elsewhere_thumbnails_are_compared_and_figures_say_so(tmp_path):
    # 24 x 24 to 12 x 12: quarters are exact, so a half rounds alike before and after.
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir(), second.mkdir()
    write(first, [clip(seed, 24) for seed in range(3)])
    write(second, [with_artifact(0, 2, 24), with_artifact(1, -2, 24), clip(2, 24)])
    verdict = compare(elsewhere(described(second)), described(first))
    off = 20 * np.log10(255 / 2) + 10 * np.log10(4 / 3)  # of three tiles of four
    assert not verdict.identical
    assert verdict.psnr == pytest.approx((2 * off + 100) / 3, abs=0.01)
    assert "not bit-identical" in str(verdict)
    assert "Plan9" in str(verdict)


@pytest.mark.parametrize(("change", "told"), [(6, "the set"), (60, "clip 000-needles")])
def test_elsewhere_clips_that_look_different_are_refused(
    change, told, frozen, tmp_path
):
    write(tmp_path, [with_artifact(s, change) for s in range(3)])
    with pytest.raises(UserError, match=f"{told}.*: expected thumbnails within"):
        compare(elsewhere(described(tmp_path)), frozen)


def test_missing_added_and_remade_clips_are_named(frozen, tmp_path):
    write(tmp_path, [clip(0), clip(1)])
    found = described(tmp_path)
    with pytest.raises(UserError, match="clip 002-needles: in the manifest, but not"):
        compare(found, frozen)
    with pytest.raises(UserError, match="clip 002-needles: among the clips, but not"):
        compare(frozen, found)
    other = dataclasses.replace(frozen.clips[0], draw=2)
    remade = dataclasses.replace(frozen, clips=(other, *frozen.clips[1:]))
    with pytest.raises(UserError, match=r"expected draw 1 .*, got 2"):
        compare(remade, frozen)


def test_a_platform_is_named_by_processor_jax_and_rasterizer():
    name = manifest.this_platform()
    assert name == manifest.this_platform()
    assert "jaxlib" in name
    assert "rasterizer" in name
