"""The plan of the benchmark: its counts, its balance, and whose worlds it takes."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from aw_jax.data.procedural.seeds import TRAINING, purpose
from aw_jax.dataengine.benchmark import BenchmarkConfig, candidates, plan
from aw_jax.restoration.taxonomy import NAMES

SMALL = BenchmarkConfig(single=2, combined=5, places=4)


@pytest.fixture(scope="module", params=[BenchmarkConfig(), SMALL])
def planned(request):
    places = plan(request.param)
    return request.param, [clip for place in places for clip in place], places


def kinds(clips):
    return [tuple(clip.severities) for clip in clips]


def test_every_type_alone_comes_equally_often(planned):
    config, clips, _ = planned
    alone = Counter(k[0] for k in kinds(clips) if len(k) == 1)
    assert alone == dict.fromkeys(NAMES, config.single)


def test_combined_clips_have_two_to_nine_types_about_equally_often(planned):
    config, clips, _ = planned
    several = [k for k in kinds(clips) if len(k) > 1]
    assert len(several) == config.combined
    sizes = Counter(map(len, several))
    assert set(sizes) <= set(range(2, 10))
    assert max(sizes.values()) - min(sizes[n] for n in range(2, 10)) <= 1
    used = Counter(name for k in several for name in k)
    assert max(used.values()) - min(used[n] for n in NAMES) <= 1
    assert all(list(k) == [n for n in NAMES if n in k] for k in several)


def test_places_share_the_clips_and_none_gives_two_of_one_type(planned):
    config, clips, places = planned
    assert len(places) == config.places
    assert max(map(len, places)) - min(map(len, places)) <= 2
    for index, place in enumerate(places):
        assert {clip.place for clip in place} == {index}
        alone = [k for k in kinds(place) if len(k) == 1]
        assert len(set(alone)) == len(alone)
    names = [clip.name for clip in clips]
    assert sorted(set(names)) == names


def test_severities_of_a_type_cover_their_range_evenly():
    config = BenchmarkConfig()
    clips = [c for place in plan(config) for c in place]
    low, high = config.severity
    for name in NAMES:
        found = [c.severities[name] for c in clips if list(c.severities) == [name]]
        shares = (np.sort(found) - low) / (high - low) * config.single
        parts = np.arange(config.single)
        assert (shares >= parts - 0.01).all()  # 4 decimals are kept
        assert (shares <= parts + 1.01).all()
    several = [x for c in clips if len(c.severities) > 1 for x in c.severities.values()]
    assert config.combined_severity[0] <= min(several)
    assert max(several) <= config.combined_severity[1]


def test_the_plan_is_a_function_of_its_config():
    assert plan(SMALL) == plan(SMALL)
    assert plan(SMALL) != plan(BenchmarkConfig(single=2, combined=5, places=4, seed=1))


def test_no_scene_is_on_both_sides_and_no_two_places_share_one():
    config = BenchmarkConfig()
    found = [list(islice(candidates(p, config), 50)) for p in range(config.places)]
    seeds = [seed for place in found for seed in place]
    assert len(set(seeds)) == len(seeds)
    assert {purpose(seed) for seed in seeds} == {"benchmark"}
    assert not any(seed in TRAINING for seed in seeds)


def test_configs_that_cannot_be_planned_are_refused():
    with pytest.raises(ValueError, match="single <= places"):
        BenchmarkConfig(single=5, places=4)
    with pytest.raises(ValueError, match="combined_severity: expected 0 < low"):
        BenchmarkConfig(combined_severity=(0.0, 0.5))
