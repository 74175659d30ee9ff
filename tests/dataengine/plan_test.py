"""The plan of broken clips: balanced, and the same however it is asked."""

from collections import Counter

import numpy as np
import pytest

from aw_jax.dataengine.plan import (
    TYPES,
    PlanConfig,
    route_of,
    severities,
    types_of,
)

PLANS = [
    PlanConfig(),
    PlanConfig(most=1),
    PlanConfig(fewest=2, most=2, seed=7),
    PlanConfig(fewest=len(TYPES)),
]


@pytest.mark.parametrize("plan", PLANS)
def test_every_type_is_in_equally_many_clips_of_a_round(plan):
    for number in range(3):
        found = [types_of(number * plan.round + i, plan) for i in range(plan.round)]
        counts = Counter(name for types in found for name in types)
        assert set(counts) == set(plan.types)
        assert len(set(counts.values())) == 1
        sizes = Counter(map(len, found))
        assert set(sizes) == set(range(plan.fewest, plan.most + 1))
        assert len(set(sizes.values())) == 1


@pytest.mark.parametrize("plan", PLANS)
def test_no_clip_has_a_type_twice(plan):
    for clip in range(3 * plan.round):
        types = types_of(clip, plan)
        assert len(set(types)) == len(types)


def test_rounds_differ_and_seeds_differ():
    plan, other = PlanConfig(), PlanConfig(seed=1)
    found = lambda plan: [types_of(i, plan) for i in range(6 * plan.round)]
    assert found(plan) == found(plan) != found(other)
    drawn = [severities(clip, plan)[types_of(clip, plan)[0]] for clip in range(40)]
    assert len(set(drawn)) > 35


def test_severities_are_beta_and_attempts_draw_anew():
    plan = PlanConfig(fewest=len(TYPES))
    drawn = [list(severities(clip, plan).values()) for clip in range(800)]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.03)
    assert np.var(drawn) == pytest.approx(1 / 16, abs=0.01)
    assert severities(3, plan) != severities(3, plan, attempt=1)


def test_attempts_that_were_too_broken_make_the_next_gentler():
    plan = PlanConfig()
    for clip in range(5):
        asked = severities(clip, plan)
        gentle = severities(clip, plan, broken=2)
        harsh = severities(clip, plan, hardly=1)
        for name, value in asked.items():
            assert gentle[name] == pytest.approx(value * 0.36, abs=1e-3)
            assert 1 - harsh[name] == pytest.approx((1 - value) * 0.6, abs=1e-3)


def test_routes_follow_from_types():
    assert route_of(("color_outliers",)) == "perturbation"
    assert route_of(("aliasing",)) == "settings"
    assert route_of(("color_outliers", "aliasing")) == "mixed"


def test_odd_plans_are_refused():
    with pytest.raises(ValueError, match="types"):
        PlanConfig(types=("dust",))
    with pytest.raises(ValueError, match="fewest"):
        PlanConfig(fewest=3, most=2)
    with pytest.raises(ValueError, match="attempts"):
        PlanConfig(attempts=0)
