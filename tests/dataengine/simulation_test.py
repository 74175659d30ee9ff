"""The simulation job: what it keeps and notes, and that nothing stops it for good."""

import dataclasses
import errno
import json

import numpy as np
import pytest

from aw_jax.config.report import from_dict, to_dict
from aw_jax.core import atomic
from aw_jax.core.errors import UserError
from aw_jax.data import clips, records
from aw_jax.data.procedural.features import features
from aw_jax.data.procedural.seeds import BENCHMARK, TEST
from aw_jax.data.procedural.worlds import VERSION, scene
from aw_jax.dataengine import optimisation_route, simulation
from aw_jax.dataengine.gate import GateConfig
from aw_jax.dataengine.simulation import (
    SimulationConfig,
    remake,
    simulate,
    simulate_scene,
)
from aw_jax.dataengine.sparse_fit import SparseFitConfig, sparse_capture
from aw_jax.splat.fit import FitDiverged
from aw_jax.splat.fit_config import LearningRates

SEEDS = range(TEST.start + 100, TEST.start + 103)


@pytest.fixture(scope="module")
def made():
    """What became of each scene of the undisturbed run."""
    return {}


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory, made):
    folder, real = tmp_path_factory.mktemp("whole"), simulate_scene

    def noted(scene, **options):
        made[scene.seed] = real(scene, **options)
        return made[scene.seed]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "simulate_scene", noted)
        return folder, simulate(SEEDS, folder, config=tiny)


@pytest.fixture
def known(whole, made, monkeypatch):
    """Scenes are not simulated again: for tests of what happens around them."""
    known = lambda scene, **_: made[scene.seed]
    monkeypatch.setattr(simulation, "simulate_scene", known)


def _bytes(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_snapshot_of_every_path_gives_a_clip(whole):
    folder, summary = whole
    found = [c for shard in records.shards(folder) for c in clips.read_clips(shard)]
    assert summary["clips"] == len(found) > 0
    assert len(found) + sum(summary["refused"].values()) == 3 * 2 * 2
    for clip in found:
        assert clip.clean.shape == clip.artifact.shape == (9, 49, 49, 3)
        assert clip.clean.dtype == np.uint8
        assert not np.array_equal(clip.clean, clip.artifact)


def test_the_index_has_one_line_per_clip_and_no_time_and_no_host(whole):
    folder, summary = whole
    lines = [
        json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()
    ]
    assert len(lines) == summary["clips"]
    for line in lines:
        clip = clips.read_clips(folder / line["shard"])[line["record"]]
        assert clip.notes["psnr"] == line["psnr"]
        assert clip.notes["scene"] in SEEDS
        assert clip.notes["start"] != clip.notes["end"]
        assert not {"time", "host", "seconds"} & set(clip.notes)


def test_the_index_tells_what_kind_of_world_a_clip_shows(tiny, whole):
    folder, _ = whole
    line = json.loads((folder / "index.jsonl").read_text().splitlines()[0])
    world, rng = scene(line["scene"]), np.random.default_rng([line["scene"], 9])
    size = (tiny.width, tiny.height)
    seen = sparse_capture(world, rng, frames=9, size=size, config=tiny.sparse)
    assert line["features"] == sorted(features(world, seen.walk)) != []
    assert (line["world"], line["procedural"]) == (world.kind, VERSION)


def test_the_same_camera_gives_the_same_truth_at_every_snapshot(whole):
    folder, _ = whole
    found = clips.read_clips(records.shards(folder)[0])
    by_path = {}
    for clip in found:
        by_path.setdefault(clip.notes["path"], []).append(clip)
    for same in by_path.values():
        assert all(np.array_equal(clip.clean, same[0].clean) for clip in same)


def test_an_interrupted_job_goes_on_to_the_same_bytes(tiny, whole, tmp_path):
    folder, _ = whole

    def stop(done, total, last):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(SEEDS, tmp_path, config=tiny, told=stop)
    assert not (tmp_path / "index.jsonl").exists()
    simulate(SEEDS, tmp_path, config=tiny)
    assert _bytes(tmp_path) == _bytes(folder)


def test_a_line_of_the_index_and_the_config_make_its_clip_again(tiny, whole):
    folder, _ = whole
    lines = (folder / "index.jsonl").read_text().splitlines()
    line = json.loads(lines[-1])
    stored = clips.read_clips(folder / line["shard"])[line["record"]]
    config = from_dict(SimulationConfig, json.loads(json.dumps(to_dict(tiny))))
    assert clips.to_bytes(remake(line, config=config)) == clips.to_bytes(stored)
    with pytest.raises(UserError, match="no such clip"):
        remake(line | {"path": 17}, config=config)


def test_masks_are_where_the_twins_differ(whole):
    folder, _ = whole
    for clip in clips.read_clips(records.shards(folder)[0]):
        gap = np.abs(clip.clean.astype(float) - clip.artifact).mean(axis=-1) / 255
        mean = sum(
            np.pad(gap, ((0, 0), (1, 1), (1, 1)), mode="edge")[
                :, y : y + 49, x : x + 49
            ]
            for y in range(3)
            for x in range(3)
        )
        sure = np.abs(mean / 9 - 4 / 255) > 1e-6
        assert np.array_equal(clip.mask[sure] == 255, (mean / 9 > 4 / 255)[sure])
        assert clip.notes["mask_kind"] == "difference"
        assert clip.notes["severities"] is None


def test_a_finished_job_is_not_done_again(tiny, whole, monkeypatch):
    folder, summary = whole
    monkeypatch.setattr(simulation, "make_unit", None)
    assert simulate(SEEDS, folder, config=tiny) == summary


def test_processes_that_share_the_job_make_the_same_bytes(tiny, whole, known, tmp_path):
    folder, summary = whole
    first = simulate(SEEDS, tmp_path, config=tiny, share=(0, 2))
    assert (first["units"], first["of"]) == (2, 3)
    assert simulate(SEEDS, tmp_path, config=tiny, share=(1, 2)) == summary
    assert _bytes(tmp_path) == _bytes(folder)


def test_a_fit_that_diverges_is_counted_and_the_job_goes_on(
    tiny, tmp_path, monkeypatch
):
    def diverges(*args, **kwargs):
        raise FitDiverged("no finite numbers left")
        yield

    monkeypatch.setattr(optimisation_route, "snapshots", diverges)
    summary = simulate(SEEDS[:1], tmp_path, config=tiny)
    assert summary["refused"] == {"fit diverged": 1}
    assert summary["clips"] == 0


@pytest.mark.slow  # another program of the fit
def test_a_fit_that_leaves_the_numbers_is_told_and_the_job_goes_on(tiny, tmp_path):
    wild = LearningRates(sh_constant=1e38)
    fit = dataclasses.replace(tiny.sparse.fit, rates=wild)
    sparse = dataclasses.replace(tiny.sparse, fit=fit)
    config = dataclasses.replace(tiny, sparse=sparse)
    summary = simulate(SEEDS[:2], tmp_path, config=config)
    assert summary["refused"]["fit diverged"] == summary["units"] == summary["of"] == 2
    assert all("diverged at step" in why for why in summary["failed"].values())


@pytest.fixture
def full_disk(monkeypatch):
    """A disk that fills up at the n-th file, which stays half-written."""

    sync = atomic._sync

    def fill(room):
        left = iter(range(room))

        def full(path):
            if next(left, None) is None:
                path.write_bytes(path.read_bytes()[:7])
                raise OSError(errno.ENOSPC, "No space left on device")
            sync(path)

        monkeypatch.setattr(atomic, "_sync", full)

    return fill


@pytest.mark.parametrize("room", [0, 2, 4])
def test_a_full_disk_stops_the_job_and_room_ends_it_in_the_same_bytes(
    tiny, whole, known, tmp_path, full_disk, room
):
    folder, summary = whole
    full_disk(room)
    with pytest.raises(UserError, match="no space"):
        simulate(SEEDS, tmp_path, config=tiny)
    for shard in tmp_path.glob("*.arrayrecord"):
        assert shard.read_bytes() == (folder / shard.name).read_bytes()
    assert not list(tmp_path.glob(".*"))
    full_disk(room=999)
    assert simulate(SEEDS, tmp_path, config=tiny) == summary
    assert _bytes(tmp_path) == _bytes(folder)


def test_what_a_killed_process_left_is_never_read_and_swept(
    tiny, whole, known, tmp_path
):
    folder, summary = whole
    (tmp_path / ".clips-1-2.0a1b2c3d.tmp.arrayrecord").write_bytes(b"half")
    assert simulate(SEEDS, tmp_path, config=tiny) == summary
    assert _bytes(tmp_path) == _bytes(folder)


def test_a_strict_gate_refuses_by_name(tiny):
    strict = dataclasses.replace(tiny, gate=GateConfig(least_psnr=98.0))
    outcome = simulate_scene(SEEDS[0], config=strict)
    assert not outcome.clips
    assert set(outcome.refused) <= {"too broken", "camera inside something"}


def test_worlds_of_the_benchmark_are_refused(tiny, tmp_path):
    for seed in (BENCHMARK[0], BENCHMARK[-1]):
        with pytest.raises(UserError, match="benchmark's"):
            simulate([SEEDS[0], seed], tmp_path, config=tiny)
    assert not list(tmp_path.iterdir())


def test_no_scenes_and_odd_lengths_are_refused(tiny, tmp_path):
    with pytest.raises(UserError, match="at least one scene"):
        simulate([], tmp_path, config=tiny)
    with pytest.raises(ValueError, match="8 n"):
        SimulationConfig(frames=24)
    with pytest.raises(ValueError, match="snapshots"):
        SparseFitConfig(snapshots=(0.5, 0.4))
