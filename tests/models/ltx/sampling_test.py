"""The sampler: which levels it visits, and where it starts."""

import jax
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.models.ltx.sampling import SamplerConfig, sample, times


def test_the_default_visits_eight_even_levels():
    expected = np.arange(8, -1, -1) / 8
    np.testing.assert_allclose(times(SamplerConfig(), tokens=64), expected)


def test_a_later_start_drops_the_levels_above_it():
    config = SamplerConfig(schedule="linear_quadratic", start=0.9)
    np.testing.assert_allclose(times(config, tokens=64), [0.9, 0.725, 0.421875, 0])


@pytest.mark.parametrize("start", [1.0, 0.6])
@pytest.mark.parametrize("schedule", ["uniform", "linear_quadratic", "sd3"])
def test_the_true_velocity_leads_to_the_data(schedule, start):
    data, noise, init = jax.random.normal(jax.random.key(0), (3, 2, 6, 4))
    config = SamplerConfig(schedule=schedule, steps=3, start=start)
    got = sample(lambda z, t: (z - data) / t, noise, config, init=init)
    np.testing.assert_allclose(got, data, atol=1e-5)


def test_a_start_below_one_needs_tokens_to_start_from():
    noise = jax.random.normal(jax.random.key(0), (2, 6, 4))
    with pytest.raises(UserError, match="pass the tokens to start from"):
        sample(lambda z, t: z, noise, SamplerConfig(start=0.5))


def test_no_steps_are_refused():
    with pytest.raises(UserError, match="steps must be at least 1, got 0"):
        SamplerConfig(steps=0)


def test_skipped_steps_leave_the_levels_between_and_the_closing_zero():
    config = SamplerConfig(steps=8, skip_first=2, skip_last=3)
    expected = [0.75, 0.625, 0.5, 0]
    np.testing.assert_allclose(times(config, tokens=64), expected)
    noise = jax.random.normal(jax.random.key(0), (2, 6, 4))
    with pytest.raises(UserError, match=r"level 0.75: pass the tokens"):
        sample(lambda z, t: z, noise, config)


def test_skipping_every_step_is_refused():
    with pytest.raises(UserError, match="leave one of 4 steps, got 2 and 2"):
        SamplerConfig(steps=4, skip_first=2, skip_last=2)
