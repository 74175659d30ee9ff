import numpy as np
import pytest

from aw_jax.metrics.pearson import Pearson, moments, pearson_of


def clip(seed):
    x, y = np.random.default_rng(seed).random((2, 3, 5, 7), dtype=np.float32)
    return x, (x + y).astype(np.float32)


def test_correlation_is_numpys():
    x, y = clip(0)
    want = np.corrcoef(x.ravel(), y.ravel())[0, 1]
    assert moments(x, y).correlation == pytest.approx(want, abs=1e-10)


def test_correlation_ignores_gain_and_offset():
    x, y = clip(1)
    scaled = moments(x, 0.2 * y + 0.7).correlation
    assert scaled == pytest.approx(moments(x, y).correlation, abs=1e-6)
    assert moments(x, -x).correlation == pytest.approx(-1)


def test_constant_clips_are_skipped_and_counted():
    x, y = clip(2)
    flat = np.full_like(x, 0.1)
    merged = sum(
        (pearson_of(moments(*pair)) for pair in [(x, y), (flat, y), (x, 0 * y)]),
        start=Pearson(),
    )
    assert merged.clips.count == 1
    assert merged.clips.skipped == 2
    assert merged.clips.value == moments(x, y).correlation
    assert Pearson().pooled.correlation is None


def test_shards_merge_to_the_pooled_correlation():
    pairs = [clip(seed) for seed in range(4)]
    parts = [pearson_of(moments(*pair)) for pair in pairs]
    left, right = parts[0] + parts[1], parts[2] + parts[3]
    x, y = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    assert (right + left).pooled.correlation == pytest.approx(np.corrcoef(x, y)[0, 1])
