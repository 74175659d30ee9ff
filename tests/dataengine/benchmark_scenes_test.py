"""What one world gives the benchmark: draws until the gate is content, then frozen."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from aw_jax.data.clips import ClipRecord
from aw_jax.data.procedural.seeds import BENCHMARK
from aw_jax.data.procedural.surface_points import SurfacePointsConfig
from aw_jax.dataengine import benchmark_scenes
from aw_jax.dataengine.benchmark import PlannedClip
from aw_jax.dataengine.benchmark_scenes import SCENES, eased, scene_clips
from aw_jax.dataengine.dense_fit import DenseFitConfig
from aw_jax.dataengine.gate import GateConfig
from aw_jax.dataengine.places import Dense, Place
from aw_jax.dataengine.plan import PlanConfig
from aw_jax.geometry.turntable import turntable
from aw_jax.splat.fit import FitDiverged
from aw_jax.splat.fit_config import FitConfig, McmcConfig
from aw_jax.splat.gaussians import empty

SEED = BENCHMARK[7]
CONFIG = dataclasses.replace(SCENES, frames=9, plan=PlanConfig(attempts=3))
PLANNED = [
    PlannedClip(name="000-0-aliasing", place=0, severities={"aliasing": 0.6}),
    PlannedClip(name="000-1-color", place=0, severities={"color_outliers": 0.5}),
]


@pytest.fixture
def gate(monkeypatch):
    """A dense fit of nothing, and a gate whose answers are this list."""
    answers = []

    views = turntable(np.eye(3, dtype=np.float32), frames=6, width=16, height=16)
    place = Place(number=SEED, notes={"scene": SEED, "world": "room"})
    dense = Dense(splat=empty(degree=0), views=views, psnr=30.0)

    def tried(place, dense, course, asked, key, **_):
        frames = np.zeros((9, 4, 4, 3), np.uint8)
        notes = {"psnr": 20.0, "asked": dict(asked), "at": course.start}
        reason = answers.pop(0) if answers else None
        return ClipRecord(clean=frames, artifact=frames, notes=notes), reason

    monkeypatch.setattr(benchmark_scenes, "open_place", lambda *_: place)
    monkeypatch.setattr(benchmark_scenes, "densely", lambda *_, **__: dense)
    monkeypatch.setattr(benchmark_scenes, "tried", tried)
    return answers


def make(draws=None, planned=PLANNED, config=CONFIG):
    return scene_clips(SEED, planned, draws, config=config)


def test_refused_clips_are_drawn_again_milder_or_harsher(gate):
    gate += ["too broken", None, "hardly broken", "too plain", None]
    made = make()
    assert [clip.notes["draw"] for clip in made.clips] == [1, 2]
    assert made.clips[0].notes["severities"] == {"aliasing": 0.36}  # 0.6 x 0.6
    assert made.clips[1].notes["severities"] == {"color_outliers": 0.7}  # 1 - 0.5 x 0.6
    assert made.refused == {"too broken": 1, "hardly broken": 1, "too plain": 1}
    for clip, planned in zip(made.clips, PLANNED, strict=True):
        assert clip.notes["asked"] == clip.notes["severities"]
        assert clip.notes["name"] == planned.name
        assert clip.notes["scene"] == SEED
        assert clip.notes["types"] == list(planned.severities)


def test_a_scene_that_cannot_give_all_gives_none(gate):
    gate += [None, *["too broken"] * 3]
    assert make().clips == []
    poor = dataclasses.replace(CONFIG, least_fidelity=31.0)
    assert make(config=poor).refused == {"dense fit too poor": 1}


def test_frozen_clips_are_drawn_once_and_no_gate_is_asked(gate):
    gate += ["too broken", None, "hardly broken", None]
    was = make().clips
    orders = [
        dataclasses.replace(planned, severities=clip.notes["severities"])
        for planned, clip in zip(PLANNED, was, strict=True)
    ]
    gate += ["too broken"] * 2
    poor = dataclasses.replace(CONFIG, least_fidelity=31.0)
    again = make({clip.notes["name"]: 1 for clip in was}, orders, poor)
    assert [c.notes for c in again.clips] == [c.notes for c in was]
    assert not again.refused


def test_a_fit_that_diverges_is_counted(gate, monkeypatch):
    def diverges(*_, **__):
        raise FitDiverged("at step 3")

    monkeypatch.setattr(benchmark_scenes, "densely", diverges)
    assert make() == benchmark_scenes.Made(
        clips=[], refused=Counter({"fit diverged": 1})
    )


def test_severities_are_eased_towards_the_side_that_was_missing():
    was = {"needles": 0.5, "cracks": 0.2}
    assert eased(was, Counter(), 0.6) == was
    twice = Counter({"too broken": 1, "not covered": 1})
    assert eased(was, twice, 0.6) == {"needles": 0.18, "cracks": 0.072}
    assert eased(was, Counter({"hardly broken": 1}), 0.5) == {
        "needles": 0.75,
        "cracks": 0.6,
    }


@pytest.mark.slow
def test_a_frozen_scene_gives_the_same_bytes():
    config = dataclasses.replace(
        CONFIG,
        width=49,
        height=49,
        least_fidelity=0.0,
        dense=DenseFitConfig(
            points=SurfacePointsConfig(count=420),
            fit=FitConfig(steps=60, capacity=420, sh_degree=0, densify=McmcConfig()),
        ),
        gate=GateConfig(
            least_psnr=0.0, most_psnr=200.0, least_coverage=0.0, least_clearance=0.0
        ),
    )
    was = make(config=config).clips
    assert len(was) == 2
    orders = [
        dataclasses.replace(planned, severities=clip.notes["severities"])
        for planned, clip in zip(PLANNED, was, strict=True)
    ]
    draws = {clip.notes["name"]: clip.notes["draw"] for clip in was}
    for ours, theirs in zip(make(draws, orders, config).clips, was, strict=True):
        assert ours.notes == theirs.notes
        for name in ("clean", "artifact", "mask"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert not np.array_equal(was[0].clean, was[0].artifact)
