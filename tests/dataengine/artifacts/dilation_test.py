"""Dilation: who is dropped, and by how much the others grow."""

import numpy as np
import pytest

from aw_jax.dataengine.artifacts import dilation
from aw_jax.splat.gaussians import DEAD_LOGIT

SEVERITY = 0.5


@pytest.fixture(scope="module")
def hit(subject, broken):
    """Rows of a broken region: log scales before and after, and opacities after."""
    draft = broken(seed=3, dilation=SEVERITY)
    count = len(subject.splat.means)
    rows = np.flatnonzero(np.asarray(draft.touched[:count]))
    before = np.asarray(subject.splat.log_scales)[rows]
    after = np.asarray(draft.splat.log_scales)[rows]
    return before, after, np.asarray(draft.splat.logit_opacities)[rows]


def test_a_fifth_is_dropped_at_middle_severity(hit):
    dropped = hit[2] == DEAD_LOGIT
    deviation = np.sqrt(0.2 * 0.8 / len(dropped))
    assert abs(dropped.mean() - 0.2) < 4 * deviation


def test_survivors_grow_and_some_become_round_blobs(subject, hit):
    before, after, logits = hit
    blob = logits > 3 + dilation.LOGIT / 2  # all began at 3
    plain = ~blob & (logits > DEAD_LOGIT)
    low, high = dilation.GROWTH
    growth = low + SEVERITY * (high - low)
    limit = np.log(dilation.LARGEST * float(subject.extent))
    free = after < limit - 1e-4
    grown = np.exp(after - before)[plain[:, None] & free]
    assert len(grown) > 30
    np.testing.assert_allclose(grown, growth, rtol=1e-4)
    assert 0 < blob.sum() < plain.sum()
    np.testing.assert_allclose(np.ptp(after[blob], axis=-1), 0, atol=1e-6)
    large = before[blob].max(axis=-1) + np.log(growth * dilation.BLOB)
    np.testing.assert_allclose(after[blob][:, 0], np.minimum(large, limit), atol=1e-4)


def test_nothing_grows_beyond_the_limit_and_nothing_shrinks(subject, hit):
    before, after, _ = hit
    limit = np.log(dilation.LARGEST * float(subject.extent))
    assert np.all(after <= np.maximum(before, limit) + 1e-6)
    assert np.all(after >= before)
