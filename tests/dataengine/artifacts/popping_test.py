"""Popping: the order changes from hold to hold, and nothing else does."""

import jax
import numpy as np
import pytest

from aw_jax.dataengine.artifacts import popping
from aw_jax.geometry.cameras import project
from aw_jax.splat.gaussians import DEAD_LOGIT


@pytest.fixture(scope="module")
def drafts(subject, broken):
    frames = len(subject.cameras.intrinsics)
    return [broken(seed=3, frame=f, popping=1.0) for f in range(frames)]


def test_every_frame_has_the_same_splat(drafts):
    for draft in drafts[1:]:
        same = jax.tree.map(np.array_equal, draft.splat, drafts[0].splat)
        assert all(jax.tree.leaves(same))


def _pairs(draft):
    return slice(len(draft.touched) - popping.MOST, None)


def test_a_pair_is_moved_by_a_share_of_its_depth_and_holds_its_side(subject, drafts):
    sides = []
    for frame, draft in enumerate(drafts):
        at = _pairs(draft)
        depth = project(subject.cameras[frame], draft.splat.means[at])[1]
        jump = np.asarray(draft.depth_offsets[at] / depth)
        np.testing.assert_allclose(np.abs(jump), popping.JUMP, rtol=1e-4)
        sides.append(jump > 0)
    changes = [f for f in range(1, len(sides)) if np.any(sides[f] != sides[f - 1])]
    assert changes
    assert all(f % changes[0] == 0 for f in changes)
    assert 0.3 < np.mean(sides) < 0.7


def test_all_the_others_move_in_the_order_by_the_named_deviation(subject, drafts):
    count = len(subject.splat.means)
    depth = project(subject.cameras[0], subject.splat.means)[1]
    share = np.asarray(drafts[0].depth_offsets[:count] / depth)
    # of 800 draws: 3 standard errors are 7.5 %
    assert share.std() == pytest.approx(popping.NOISE[1], rel=0.08)


@pytest.mark.parametrize("severity", [0.25, 1.0])
def test_severity_is_the_number_of_pairs(broken, severity):
    draft = broken(seed=3, popping=severity)
    living = draft.splat.logit_opacities[_pairs(draft)] > DEAD_LOGIT
    low, high = popping.PAIRS
    assert int(living.sum()) == round(low + (high - low) * severity)
