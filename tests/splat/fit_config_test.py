"""When the schedule acts, at full length and shrunk."""

import dataclasses

import pytest

from aw_jax.config import overrides
from aw_jax.splat.fit_config import DensifyConfig, FitConfig, McmcConfig, Schedule


def refinements(schedule, injections=()):
    steps = range(schedule.length + 1)
    return [done for done in steps if schedule.refines(done, injections)]


def test_full_length_is_the_schedule_of_the_paper():
    schedule = FitConfig().timetable
    assert schedule == Schedule()
    assert refinements(schedule) == list(range(600, 15_000, 100))
    resets = [done for done in range(30_001) if schedule.resets(done)]
    assert resets == [3000, 6000, 9000, 12_000]
    assert [schedule.degree(step) for step in (0, 999, 1000, 3000)] == [0, 0, 1, 3]


def test_a_short_fit_is_a_whole_fit_in_small():
    schedule = FitConfig(steps=2000).timetable
    assert schedule.length == 2000
    assert (schedule.densify_stop, schedule.sh_every) == (1000, 67)
    # By the square root:
    assert (schedule.densify_start, schedule.densify_every) == (129, 26)
    assert len(refinements(schedule)) > 30


def test_injections_reopen_densification_but_never_close_to_the_end():
    schedule = FitConfig(steps=3000).timetable
    late = refinements(schedule, injections=(2000, 2800))
    late = [done for done in late if done > schedule.densify_stop]
    assert late
    assert all(2000 < done <= 2300 or 2800 < done <= 2950 for done in late)


def test_opacities_are_never_reset_soon_after_an_injection():
    schedule = Schedule()
    injections = (2800, 6000, 8000)
    resets = [done for done in range(30_001) if schedule.resets(done, injections)]
    assert resets == [9000, 12_000]


def test_means_slow_down_to_a_hundredth_and_move_further_in_a_short_fit():
    whole, short = FitConfig(), FitConfig(steps=1200)
    assert whole.means_factor(0) == 1
    assert whole.means_factor(15_000) == pytest.approx(0.1)
    assert whole.means_factor(40_000) == pytest.approx(0.01)
    assert short.means_factor(0) == pytest.approx(5)
    assert short.means_factor(1200) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("capacity", 0),
        ("sh_degree", 4),
        ("init_opacity", 1.0),
        ("init_scale", 0.0),
    ],
)
def test_a_field_out_of_range_is_named(field, value):
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(FitConfig(), **{field: value})


def test_a_word_on_the_command_line_chooses_the_densification():
    chain = overrides.apply(FitConfig(), {"densify": "mcmc", "densify.cap": "9"})
    assert chain.densify == McmcConfig(cap=9)
    assert overrides.apply(chain, {"densify": "adc"}).densify == DensifyConfig()
    assert overrides.apply(chain, {"densify": "none"}).densify is None
