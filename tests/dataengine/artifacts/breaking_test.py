"""What all edits owe: nothing at severity 0, the same twice, an honest mask."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.dataengine.artifacts.breaking import EDITS, broken_clip
from aw_jax.images.quantise import quantise
from aw_jax.splat.gaussians import DEAD_LOGIT, take
from aw_jax.splat.rasterize import render


def _same(a, b):
    return all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))


def test_severity_0_changes_no_bit_and_adds_dead_rows_only(subject, broken):
    draft = broken()
    count = len(subject.splat.means)
    assert _same(take(draft.splat, slice(count)), subject.splat)
    assert np.all(draft.splat.logit_opacities[count:] == DEAD_LOGIT)
    assert not np.any(draft.touched)
    assert not np.any(draft.depth_offsets)


def test_a_clip_of_no_severity_is_the_clean_clip(subject):
    clip = broken_clip(subject, {}, jax.random.key(0))
    clean = np.asarray(quantise(subject.clean.color)).astype(int)
    assert np.abs(clip.frames - clean).max() <= 1  # another program rounds otherwise
    np.testing.assert_allclose(clip.depth, subject.clean.depth, rtol=1e-5)
    assert not clip.mask.any()


def test_a_mask_holds_edited_matter_where_it_is_and_where_it_was(subject, broken):
    clip = broken_clip(subject, {"cracks": 0.9}, jax.random.key(3))
    for frame in (0, 5):
        draft = broken(seed=3, frame=frame, cracks=0.9)
        was = jnp.asarray(draft.touched)[: len(subject.splat.means)]
        both = (subject.splat, was), (draft.splat, draft.touched)
        camera = subject.cameras[frame]
        weights = [render(splat, camera, tagged=tags).tagged for splat, tags in both]
        expected = np.round(255 * np.maximum(*map(np.asarray, weights)))
        assert np.abs(clip.mask[frame] - expected).max() <= 1  # of another program
        assert np.any(weights[0] > weights[1] + 0.1)
    holes = np.asarray(subject.clean.alpha) - clip.alpha > 0.5
    assert holes.any()
    assert clip.mask[holes].min() > 127


@pytest.mark.parametrize("name", EDITS)
def test_the_key_alone_decides_what_is_drawn(broken, name):
    once = broken(seed=3, **{name: 0.7})
    assert _same(once, broken(seed=3, **{name: 0.7}))
    assert not _same(once, broken(seed=4, **{name: 0.7}))


@pytest.mark.parametrize("name", EDITS)
def test_touched_are_the_changed_and_the_living_added_rows(subject, broken, name):
    draft = broken(seed=3, **{name: 0.7})
    count = len(subject.splat.means)
    now = jax.tree.leaves(take(draft.splat, slice(count)))
    pairs = zip(now, jax.tree.leaves(subject.splat), strict=True)
    changed = [np.any((a != b).reshape(count, -1), axis=1) for a, b in pairs]
    changed = np.any(changed, axis=0) | (np.asarray(draft.depth_offsets[:count]) != 0)
    living = np.asarray(draft.splat.logit_opacities[count:]) > DEAD_LOGIT
    touched = np.asarray(draft.touched)
    np.testing.assert_array_equal(touched, np.concatenate([changed, living]))
    assert touched.any()
    assert all(np.all(jnp.isfinite(x)) for x in jax.tree.leaves(draft))


def test_combined_types_touch_what_each_alone_touches(broken):
    names = ("dilation", "needles", "cracks", "floaters")
    alone = [np.asarray(broken(seed=3, **{name: 0.7}).touched) for name in names]
    together = broken(seed=3, **dict.fromkeys(names, 0.7))
    still = np.asarray(together.touched)[: len(alone[0])]
    assert np.mean(np.max(alone, axis=0) == still) > 0.95  # jitter moves a few


@pytest.mark.parametrize("severities", [{"rust": 0.5}, {"cracks": 1.5}])
def test_an_unknown_type_and_a_severity_out_of_range_are_refused(subject, severities):
    with pytest.raises(UserError, match="expected"):
        broken_clip(subject, severities, jax.random.key(0))
