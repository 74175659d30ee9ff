"""Sampling levels against LTX-Video's own scheduler (scripts/goldens)."""

from pathlib import Path

import numpy as np
import pytest

from aw_jax.flow import schedules

GOLDEN = Path(__file__).parents[1] / "golden/ltx_transformer.npz"
OURS = {
    "uniform.8": schedules.uniform(8),
    "linear_quadratic.7": schedules.linear_quadratic(7),
    "linear_quadratic.8": schedules.linear_quadratic(8),
    "linear_quadratic.30": schedules.linear_quadratic(30),
    "sd3.20": schedules.shifted(schedules.uniform(20), tokens=2688),
    "sd3_stretched.20": schedules.shifted(
        schedules.uniform(20), tokens=2688, terminal=0.1
    ),
}


@pytest.mark.parametrize("name", OURS)
def test_levels_equal_upstream_and_close_with_zero(name):
    golden = np.load(GOLDEN)[f"schedule.{name}"]
    np.testing.assert_allclose(OURS[name][:-1], golden, atol=1e-6)
    assert OURS[name][-1] == 0


def test_the_distilled_checkpoints_eight_levels():
    published = [1.0, 0.99375, 0.9875, 0.98125, 0.975, 0.909375, 0.725, 0.421875, 0.0]
    np.testing.assert_allclose(schedules.linear_quadratic(8), published, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
@pytest.mark.parametrize("law", [schedules.uniform, schedules.linear_quadratic])
def test_levels_fall_from_one_to_zero(law, steps):
    levels = law(steps)
    assert len(levels) == steps + 1
    assert levels[0] == 1
    assert levels[-1] == 0
    assert (np.diff(levels) < 0).all()
