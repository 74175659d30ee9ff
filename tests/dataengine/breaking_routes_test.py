"""Clips broken by a plan: what is noted, that they can be made again, and failures."""

import dataclasses
import json

import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data import clips, records
from aw_jax.data.procedural.surface_points import SurfacePointsConfig
from aw_jax.dataengine import breaking_routes, simulation
from aw_jax.dataengine.dense_fit import DenseFitConfig
from aw_jax.dataengine.gate import GateConfig
from aw_jax.dataengine.places import Dense
from aw_jax.dataengine.plan import PlanConfig, severities, types_of
from aw_jax.dataengine.simulation import SimulationConfig, remake, simulate
from aw_jax.dataengine.sources import CapturedScene
from aw_jax.dataengine.sparse_fit import SparseFitConfig
from aw_jax.splat.fit_config import FitConfig, McmcConfig
from aw_jax.splat.gaussians import empty

OPEN = GateConfig(
    least_psnr=0.0,
    most_psnr=200.0,
    least_coverage=0.0,
    least_light=0.0,
    least_contrast=0.0,
    least_clearance=0.0,
    least_motion=0.0,
    most_motion=180.0,
)
FIT = FitConfig(steps=60, capacity=420, sh_degree=0, densify=McmcConfig())
CONFIG = SimulationConfig(
    frames=9,
    width=49,
    height=49,
    clean="fit",
    sparse=SparseFitConfig(
        views=(3, 3),
        steps=(20, 20),
        snapshots=(1.0,),
        surface=(40, 80),
        start=100,
        fit=FIT,
    ),
    paths=1,
    broken=2,
    plan=PlanConfig(types=("color_outliers", "popping"), most=2, attempts=2),
    dense=DenseFitConfig(
        points=SurfacePointsConfig(count=420),
        fit=FIT,
    ),
    least_fidelity=0.0,
    gate=OPEN,
    scenes_per_shard=2,
)


@pytest.fixture(scope="module")
def scenes(captured, twisted):
    paths = (twisted, captured)
    return [CapturedScene(path=str(path), number=i) for i, path in enumerate(paths)]


@pytest.fixture(scope="module")
def whole(scenes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, simulate(scenes, folder, config=CONFIG)


def _stored(folder):
    (shard,) = records.shards(folder)
    return clips.read_clips(shard)


@pytest.mark.slow
def test_a_scene_with_broken_poses_is_counted_and_told_and_the_job_goes_on(whole):
    _, summary = whole
    assert summary["refused"] == {"scene cannot be read": 1}
    assert list(summary["failed"]) == ["capture-0000"]
    assert "R R" in summary["failed"]["capture-0000"]
    assert (summary["scenes"], summary["clips"]) == (2, 3)


@pytest.mark.slow
def test_notes_say_what_was_asked(whole):
    folder, summary = whole
    for index, clip in enumerate(_stored(folder)[1:]):
        notes, number = clip.notes, 2 + index
        assert notes["clip"] == number
        assert tuple(notes["types"]) == types_of(number, CONFIG.plan)
        assert notes["severities"] == severities(number, CONFIG.plan)
        assert notes["mask_kind"] in ("edited weight", "difference")
        assert clip.mask is not None
        assert clip.mask.shape == (9, 49, 49)
        assert not np.array_equal(clip.clean, clip.artifact)
    assert summary["routes"] == {"mixed": 1, "optimisation stage": 1, "settings": 1}
    assert summary["types"] == {"color_outliers": 1, "popping": 2}


@pytest.mark.slow
def test_a_sparse_fit_of_a_capture_is_measured_against_its_dense_fit(whole):
    folder, _ = whole
    sparse, *_ = _stored(folder)
    assert sparse.notes["severities"] is None
    assert (sparse.notes["clean"], sparse.notes["kind"]) == ("fit", "walk")
    assert sparse.notes["mask_kind"] == "difference"


@pytest.mark.slow
def test_a_line_of_the_index_and_the_config_make_its_clip_again(whole):
    folder, _ = whole
    lines = (folder / "index.jsonl").read_text().splitlines()
    line = json.loads(lines[2])
    made = remake(line, config=CONFIG)
    assert clips.to_bytes(made) == clips.to_bytes(_stored(folder)[line["record"]])


@pytest.mark.slow
def test_a_shard_has_a_contact_sheet(whole):
    folder, _ = whole
    (sheet,) = folder.glob("*.png")
    assert sheet.stem == records.shards(folder)[0].stem


def test_refused_attempts_are_tried_again_with_their_types_then_given_up(
    scenes, monkeypatch
):
    asked = []
    tried = lambda *given, **_: (asked.append(given[3]), "too broken")
    monkeypatch.setattr(breaking_routes, "tried", tried)
    fit = lambda place, *_, **__: Dense(
        splat=empty(), views=place.capture.cameras, psnr=30.0
    )
    monkeypatch.setattr(simulation, "densely", fit)
    config = dataclasses.replace(CONFIG, paths=0)
    outcome = simulation.simulate_scene(scenes[1], config=config)
    assert outcome.refused == {"too broken": 4}
    for index in range(2):
        first, again = asked[2 * index : 2 * index + 2]
        number = 2 + index
        assert list(first) == list(again) == list(types_of(number, CONFIG.plan))
        assert again == severities(number, CONFIG.plan, attempt=1, broken=1)
        assert all(outcome.given_up[name] for name in first)


def test_a_dense_fit_that_is_too_poor_refuses_its_scene(scenes):
    strict = dataclasses.replace(CONFIG, paths=0, least_fidelity=90.0)
    outcome = simulation.simulate_scene(scenes[1], config=strict)
    assert outcome.refused == {"dense fit too poor": 1}
    assert not outcome.clips


def test_a_capture_is_clean_only_as_its_dense_fit(scenes, tmp_path):
    config = dataclasses.replace(CONFIG, clean="scene")
    with pytest.raises(UserError, match="clean=fit"):
        simulate(scenes, tmp_path, config=config)
