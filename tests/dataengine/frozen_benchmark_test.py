"""The benchmark that configs/benchmark.json freezes is the one its plan asks for."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from aw_jax.data.procedural import seeds
from aw_jax.dataengine import manifest
from aw_jax.dataengine.benchmark import BenchmarkConfig, candidates, plan
from aw_jax.dataengine.benchmark_job import check_config
from aw_jax.dataengine.benchmark_scenes import BenchmarkRunConfig
from aw_jax.restoration.taxonomy import NAMES

PATH = Path(__file__).parents[2] / "configs" / "benchmark.json"


@pytest.fixture(scope="module")
def frozen():
    return manifest.load(PATH)


def test_it_was_made_with_the_config_that_the_launcher_has(frozen):
    check_config(BenchmarkRunConfig(), frozen)


def test_every_planned_clip_is_there_as_it_was_planned(frozen):
    planned = {clip.name: clip for place in plan(BenchmarkConfig()) for clip in place}
    assert sorted(clip.name for clip in frozen.clips) == sorted(planned)
    for clip in frozen.clips:
        assert clip.severities.keys() == planned[clip.name].severities.keys()
        # a clip that the gate refused was drawn again, milder or harsher
        assert clip.draw > 0 or clip.severities == planned[clip.name].severities


def test_thirty_clips_of_each_type_alone_and_ninety_of_several(frozen):
    kinds = Counter(
        "several" if len(clip.severities) > 1 else next(iter(clip.severities))
        for clip in frozen.clips
    )
    assert kinds == dict.fromkeys(NAMES, 30) | {"several": 90}


def test_worlds_are_the_benchmarks_own_and_of_one_place_each(frozen):
    places = {}
    for clip in frozen.clips:
        assert clip.scene in seeds.BENCHMARK
        places.setdefault(int(clip.name[:3]), set()).add(clip.scene)
    assert all(len(scenes) == 1 for scenes in places.values())
    for place, (seed,) in places.items():
        assert seed in candidates(place, BenchmarkConfig())


def test_no_two_clips_have_the_same_pixels_and_all_are_broken(frozen):
    sums = [clip.sha256["artifact"] for clip in frozen.clips]
    assert len(set(sums)) == len(sums)
    assert all(clip.sha256["artifact"] != clip.sha256["clean"] for clip in frozen.clips)


def test_thumbnails_are_pictures_and_differ(frozen):
    strips = [manifest.pixels(clip.thumbnails) for clip in frozen.clips]
    assert {strip.shape for strip in strips} == {(manifest.SIDE, 4 * manifest.SIDE, 3)}
    assert min(np.std(strip) for strip in strips) > 1
