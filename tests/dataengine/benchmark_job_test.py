"""Places are filled, resumed and made again; the clips here are made of noise."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data import clips, records
from aw_jax.data.clips import ClipRecord
from aw_jax.data.procedural.seeds import BENCHMARK
from aw_jax.dataengine import manifest
from aw_jax.dataengine.benchmark import BenchmarkConfig, plan
from aw_jax.dataengine.benchmark_job import MOST_SCENES, Made, make_benchmark
from aw_jax.train.held_out import refuse_held_out

CONFIG = BenchmarkConfig(single=1, combined=2, places=3)
SETTINGS = {"frames": 9}


def clip(seed, planned, draw):
    word = list(planned.name.encode())
    rng = np.random.default_rng([seed, draw, *word])
    clean, artifact = rng.integers(40, 200, (2, 9, 16, 16, 3), np.uint8)
    notes = {
        "name": planned.name,
        "scene": seed,
        "draw": draw,
        "types": list(planned.severities),
        "severities": planned.severities,
        "intrinsics": [1.0],
    }
    return ClipRecord(clean=clean, artifact=artifact, notes=notes)


def make(seed, planned, draws):
    """The second place's first scene gives nothing; draws are 1 where chosen freely."""
    if seed == BENCHMARK.start + 1 and draws is None:
        return Made(clips=[], refused=Counter({"too plain": 2}))
    found = [clip(seed, one, (draws or {}).get(one.name, 1)) for one in planned]
    return Made(clips=found, refused=Counter({"too broken": 1}))


def run(folder, maker=make, **options):
    return make_benchmark(folder, maker, config=CONFIG, settings=SETTINGS, **options)


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(folder)


def test_every_place_is_filled_by_its_first_scene_that_fits(whole):
    folder, told = whole
    planned = [c for place in plan(CONFIG) for c in place]
    found = [c for path in records.shards(folder) for c in clips.read_clips(path)]
    assert [c.notes["name"] for c in found] == [c.name for c in planned]
    first = BENCHMARK.start
    assert {c.notes["scene"] for c in found} == {first, first + 4, first + 2}
    assert told == {
        "places": 3,
        "of": 3,
        "clips": 11,
        "refused": {"scene given up": 1, "too broken": 3, "too plain": 2},
    }
    assert (folder / "index.jsonl").read_text().count("\n") == 11
    assert "intrinsics" not in (folder / "index.jsonl").read_text()


def test_a_stopped_job_goes_on_and_ends_with_the_same_bytes(whole, tmp_path):
    asked = []

    def stopping(seed, planned, draws):
        asked.append(seed)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return make(seed, planned, draws)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stopping)
    assert not (tmp_path / "manifest.json").exists()
    run(tmp_path, stopping)
    assert asked == [BENCHMARK.start + i for i in (0, 1, 1, 4, 2)]
    assert content(tmp_path) == content(whole[0])


def test_shares_make_the_same_set(whole, tmp_path):
    assert run(tmp_path, share=(1, 2))["places"] == 1
    assert run(tmp_path, share=(0, 2))["places"] == 3
    assert content(tmp_path) == content(whole[0])


def test_a_frozen_set_is_made_again_and_found_identical(whole, tmp_path):
    frozen = manifest.load(whole[0] / "manifest.json")
    told = run(tmp_path, frozen=frozen)
    assert told["verdict"] == "bit-identical to the frozen set"
    assert (tmp_path / "verdict.json").exists()
    ours, theirs = content(tmp_path), content(whole[0])
    shards = [name for name in theirs if name.endswith(records.SUFFIX)]
    assert len(shards) == 3
    assert all(ours[name] == theirs[name] for name in shards)


def test_another_config_and_other_clips_are_not_the_frozen_set(whole, tmp_path):
    frozen = manifest.load(whole[0] / "manifest.json")
    with pytest.raises(UserError, match=r"frozen with scenes\.frames=9, now asked for"):
        make_benchmark(
            tmp_path, make, config=CONFIG, settings={"frames": 17}, frozen=frozen
        )
    assert not content(tmp_path)
    worse = lambda seed, planned, draws: make(seed + 3, planned, draws)
    with pytest.raises(UserError, match=r"clip 000-0-.*: expected scene 11000000"):
        run(tmp_path, worse, frozen=frozen)
    fewer = dataclasses.replace(frozen, clips=frozen.clips[:4])
    with pytest.raises(UserError, match=r"clip 001-1-.*: expected it in the manifest"):
        run(tmp_path / "fewer", frozen=fewer)


def test_a_place_that_no_scene_fills_is_told_with_its_reasons(tmp_path):
    nothing = lambda *_: Made(clips=[], refused=Counter({"too broken": 3}))
    with pytest.raises(
        UserError, match=f"none of {MOST_SCENES} .* place 0 .too broken"
    ):
        run(tmp_path, nothing)
    assert not content(tmp_path)


def test_training_refuses_the_benchmark(whole):
    with pytest.raises(UserError, match=r"expected clips of training seeds.*benchmark"):
        refuse_held_out(whole[0])
