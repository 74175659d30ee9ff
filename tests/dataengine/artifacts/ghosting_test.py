"""Ghosting: shifted translucent copies, which stay or fade."""

import numpy as np

from aw_jax.dataengine.artifacts import ghosting, popping
from aw_jax.splat.gaussians import DEAD_LOGIT

LAST = 8


def _copies(subject, draft):
    """Means, opacities and who lives, of each copy."""
    count = len(subject.splat.means)
    rows = count // ghosting.SHARE
    logits = np.asarray(draft.splat.logit_opacities, np.float64)
    opacities, means = 1 / (1 + np.exp(-logits)), np.asarray(draft.splat.means)
    # the pairs of popping come last
    start = len(means) - ghosting.COPIES * rows - popping.MOST
    ends = range(start, start + ghosting.COPIES * rows, rows)
    return [
        (means[a : a + rows], opacities[a : a + rows], logits[a : a + rows] > -15)
        for a in ends
    ]


def test_copies_are_of_one_cluster_at_even_steps(subject, broken):
    first, second, third = _copies(subject, broken(seed=3, ghosting=1.0))
    assert first[2].any()
    assert np.array_equal(first[2], second[2])
    step = (second[0] - first[0])[first[2]]
    np.testing.assert_allclose(step, (third[0] - second[0])[first[2]], atol=1e-5)
    assert np.ptp(step, axis=0).max() < 1e-5
    depth = np.linalg.norm(step[0]) * ghosting.COPIES / ghosting.SHIFT[1]
    assert 3.0 < depth < 5.0  # of the ball and the wall


def test_the_originals_stay(subject, broken):
    draft, count = broken(seed=3, ghosting=1.0), len(subject.splat.means)
    np.testing.assert_array_equal(draft.splat.means[:count], subject.splat.means)
    assert not np.any(draft.touched[:count])


def test_a_copy_is_fainter_than_what_it_copies_and_the_next_one_still_more(
    subject, broken
):
    # every Gaussian of the subject has the same opacity
    whole = 1 / (1 + np.exp(-3.0))
    copies = _copies(subject, broken(seed=3, ghosting=1.0))
    shares = [opacities[alive].max() / whole for _, opacities, alive in copies]
    expected = ghosting.OPACITY[1] * np.array([1, 0.8, 0.6])
    np.testing.assert_allclose(shares, expected, rtol=1e-4)


def test_severity_says_how_many_copies_live(subject, broken):
    copies = _copies(subject, broken(seed=3, ghosting=0.5))
    assert [bool(alive.any()) for _, _, alive in copies] == [True, True, False]


def test_some_copies_fade_and_others_stay(subject, broken):
    kept = []
    for seed in range(8):
        ends = [broken(seed=seed, frame=f, ghosting=1.0) for f in (0, LAST)]
        first, last = (_copies(subject, draft)[0][1].max() for draft in ends)
        kept.append(round(float(last / first), 3))
    assert set(kept) == {1.0, ghosting.LEFT}


def test_dead_rows_are_dead(subject, broken):
    draft = broken(seed=3, ghosting=0.2)
    added = np.asarray(draft.splat.logit_opacities[len(subject.splat.means) :])
    assert np.sum(added > DEAD_LOGIT) == draft.touched.sum()
