import numpy as np
import pytest

from aw_jax.metrics.accumulators import Histogram, Mean, histogram_of, mean_of


def test_shards_reduce_to_the_mean_of_all():
    values = np.random.default_rng(0).random(10).tolist()
    merged = mean_of(values[:3]) + mean_of([]) + mean_of(values[3:])
    assert merged.value == pytest.approx(np.mean(values))


def test_values_that_do_not_exist_are_counted_and_left_out():
    mean = mean_of([1.0, None, float("inf"), float("nan"), 3.0])
    assert mean == Mean(total=4.0, count=2, skipped=3)
    assert mean_of([None]).value is None


def test_quantile_is_numpys_to_a_bin():
    values = np.random.default_rng(1).gamma(2.0, 0.4, 400_000)
    merged = histogram_of(values[:7]) + histogram_of(values[7:])
    for share in (0.01, 0.5, 0.995):
        want = np.quantile(values, share)
        # A bin is 16 / 32768 wide; between two values numpy interpolates.
        assert merged.quantile(share) == pytest.approx(want, abs=5e-3)


def test_histogram_keeps_values_beyond_its_top():
    counts = histogram_of(np.asarray([100.0, 0.0]))
    assert counts.counts.sum() == 2
    assert counts.quantile(1.0) == 16.0
    assert Histogram().counts.sum() == 0
