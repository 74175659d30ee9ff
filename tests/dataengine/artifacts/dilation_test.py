"""Dilation: who is dropped, and by how much the others grow."""

import numpy as np
import pytest

from aw_jax.dataengine.artifacts import dilation
from aw_jax.geometry.cameras import centers
from aw_jax.splat.gaussians import DEAD_LOGIT

SEVERITY = 0.5


@pytest.fixture(scope="module")
def hit(subject, broken):
    """Broken rows: log scales before and after, opacities, and their limit."""
    draft = broken(seed=7, dilation=SEVERITY)  # the whole scene is its region
    count = len(subject.splat.means)
    rows = np.flatnonzero(np.asarray(draft.touched[:count]))
    before = np.asarray(subject.splat.log_scales)[rows]
    after = np.asarray(draft.splat.log_scales)[rows]
    middle = np.mean(centers(subject.cameras), axis=0)
    away = np.linalg.norm(subject.splat.means[rows] - middle, axis=-1)
    limit = np.log(dilation.LARGEST * away)[:, None]
    return before, after, np.asarray(draft.splat.logit_opacities)[rows], limit


def test_a_fifth_is_dropped_at_middle_severity(hit):
    dropped = hit[2] == DEAD_LOGIT
    deviation = np.sqrt(0.2 * 0.8 / len(dropped))
    assert abs(dropped.mean() - 0.2) < 4 * deviation


def test_survivors_grow_and_some_become_round_blobs(hit):
    before, after, logits, limit = hit
    blob = logits > 3 + dilation.LOGIT / 2  # all began at 3
    plain = ~blob & (logits > DEAD_LOGIT)
    low, high = dilation.GROWTH
    growth = low + SEVERITY * (high - low)
    grown = np.maximum(before, np.minimum(before + np.log(growth), limit))[plain]
    np.testing.assert_allclose(after[plain], grown, atol=1e-4)
    assert np.sum(after[plain] < limit[plain] - 1e-3) > 10  # not all at the limit
    assert 0 < blob.sum() < plain.sum()
    large = before[blob].max(axis=-1, keepdims=True) + np.log(growth * dilation.BLOB)
    blobs = np.maximum(before[blob], np.minimum(large, limit[blob]))
    np.testing.assert_allclose(after[blob], blobs, atol=1e-4)


def test_nothing_grows_beyond_the_limit_and_nothing_shrinks(hit):
    before, after, _, limit = hit
    assert np.all(after <= np.maximum(before, limit) + 1e-6)
    assert np.all(after >= before)
