"""Blurring: a Gaussian convolved with another, no light lost."""

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.dataengine.artifacts.blurring import widened
from aw_jax.splat.gaussians import take


def test_variances_add_and_the_light_stopped_is_kept():
    log_scales = np.log([[0.1, 0.4, 0.01], [0.2, 0.2, 0.2]]).astype(np.float32)
    logits = np.float32([2.0, -1.0])
    spread = np.float32([0.3, 0.05])
    wide, faint = widened(*map(jnp.asarray, (log_scales, logits, spread)))
    expected = np.sqrt(np.exp(log_scales) ** 2 + spread[:, None] ** 2)
    np.testing.assert_allclose(np.exp(wide), expected, rtol=1e-5)
    area = lambda x: np.sort(np.exp(x), axis=-1)[:, 1:].prod(axis=-1)
    stopped = lambda x: -np.log1p(-np.asarray(jax.nn.sigmoid(x), np.float64))
    before, after = (
        stopped(o) * area(s) for o, s in ((logits, log_scales), (faint, wide))
    )
    np.testing.assert_allclose(after, before, rtol=1e-4)


def test_at_severity_1_only_the_constant_harmonic_is_left_and_nothing_moves(
    subject, broken
):
    draft = broken(seed=3, blurring=1.0)
    count = len(subject.splat.means)
    now, hit = take(draft.splat, slice(count)), np.asarray(draft.touched[:count]) == 1
    assert hit.any()
    assert not np.any(now.sh[hit, 1:])
    np.testing.assert_array_equal(now.sh[:, 0], subject.splat.sh[:, 0])
    np.testing.assert_array_equal(now.means, subject.splat.means)
    assert np.all(now.log_scales[hit] > subject.splat.log_scales[hit])


def test_a_stronger_blur_is_wider_in_the_same_place(broken):
    weak, strong = (broken(seed=3, blurring=s) for s in (0.3, 0.9))
    np.testing.assert_array_equal(weak.touched, strong.touched)
    hit = np.asarray(weak.touched) == 1
    assert np.all(strong.splat.log_scales[hit] > weak.splat.log_scales[hit])
