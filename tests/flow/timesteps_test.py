"""Training levels follow the laws they name."""

import jax
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.flow import timesteps
from aw_jax.flow.timesteps import TimestepLaw

COUNT = 20_000


def draws(tokens=2688, **law):
    key = jax.random.key(0)
    return np.asarray(
        timesteps.sample(TimestepLaw(**law), key, COUNT, tokens=tokens), np.float64
    )


def test_uniform_levels_fill_zero_exclusive_to_one():
    t = draws()
    assert t.min() > 0
    assert t.max() <= 1
    # Four standard errors of the mean, and of a decile's share.
    assert abs(t.mean() - 0.5) < 4 * (1 / 12 / COUNT) ** 0.5
    shares = np.histogram(t, 10, (0, 1))[0] / COUNT
    assert np.abs(shares - 0.1).max() < 4 * (0.09 / COUNT) ** 0.5


def test_a_share_of_the_levels_sits_at_one():
    t = draws(mass_at_one=0.75)
    assert abs((t == 1).mean() - 0.75) < 4 * (0.75 * 0.25 / COUNT) ** 0.5
    rest = t[t < 1]
    assert abs(rest.mean() - 0.5) < 0.02


@pytest.mark.parametrize(
    ("tokens", "median"), [(1024, 0.7211), (2688, 0.8243), (4096, 0.8859)]
)
def test_longer_sequences_train_nearer_to_noise(tokens, median):
    t = draws(tokens=tokens, kind="shifted_logit_normal")
    # The median's standard error at this density is below 0.003.
    assert abs(np.median(t) - median) < 0.01


def test_the_shift_is_held_beyond_its_range():
    """Unclamped, 18,432 tokens would have their median at 0.9992."""
    t = draws(tokens=18432, kind="shifted_logit_normal")
    np.testing.assert_array_equal(t, draws(tokens=4096, kind="shifted_logit_normal"))


def test_a_law_that_is_none_is_refused():
    with pytest.raises(UserError, match=r"mass_at_one must lie in \[0, 1\], got 1.5"):
        TimestepLaw(mass_at_one=1.5)
