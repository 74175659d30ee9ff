"""Needles: where they point, and how long and thin they are."""

import numpy as np
import pytest

from aw_jax.dataengine.artifacts import needles
from aw_jax.geometry.cameras import centers
from aw_jax.geometry.rotations import matrix_from_quat

SEVERITY = 0.7


@pytest.fixture(scope="module")
def pairs(subject, broken):
    """Before and after, of the rows that became needles."""
    draft = broken(seed=3, needles=SEVERITY)
    count = len(subject.splat.means)
    hit = np.flatnonzero(np.asarray(draft.touched[:count]))
    assert len(hit) > 5
    return _rows(subject.splat, hit), _rows(draft.splat, hit)


def _rows(splat, index):
    names = ("means", "log_scales", "quats", "logit_opacities")
    return {name: np.asarray(getattr(splat, name))[index] for name in names}


def _long_axes(rows):
    longest = rows["log_scales"].argmax(axis=-1)
    turns = matrix_from_quat(rows["quats"])
    return np.stack([r[:, i] for r, i in zip(turns, longest, strict=True)])


def test_the_long_axis_points_at_one_of_a_few_views(subject, pairs):
    _, after = pairs
    views = np.asarray(centers(subject.views))
    rays = views[None] - after["means"][:, None]
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    cosines = np.abs(np.einsum("gvi,gi->gv", rays, _long_axes(after)))
    degrees = np.degrees(np.arccos(np.minimum(cosines, 1)))
    aimed = degrees <= needles.ASTRAY + 0.1
    assert aimed.any(axis=1).all()
    few = [set(np.flatnonzero(a)) for a in aimed]
    triples = np.array(np.meshgrid(*[range(len(views))] * 3)).reshape(3, -1).T
    assert any(all(f & set(t) for f in few) for t in triples)


def test_the_turn_is_the_shortest_one(pairs):
    before, after = pairs
    a, b = _long_axes(before), _long_axes(after)
    turned = np.einsum("gij,gi->gj", matrix_from_quat(after["quats"]), b)
    was = np.einsum("gij,gi->gj", matrix_from_quat(before["quats"]), a)
    np.testing.assert_allclose(np.abs(turned), np.abs(was), atol=1e-5)  # same axis
    r = np.einsum(
        "gij,gkj->gik",
        matrix_from_quat(after["quats"]),
        matrix_from_quat(before["quats"]),
    )
    angle = np.arccos(np.clip((np.trace(r, axis1=1, axis2=2) - 1) / 2, -1, 1))
    between = np.arccos(np.minimum(np.abs(np.sum(a * b, axis=-1)), 1))
    np.testing.assert_allclose(angle, between, atol=2e-3)  # arccos near 0, in float32


def test_the_long_axis_grows_and_the_others_shrink(subject, pairs):
    before, after = pairs
    ratio = np.exp(np.sort(after["log_scales"]) - np.sort(before["log_scales"]))
    thin = 1 / (needles.THINNING[0] + SEVERITY * np.diff(needles.THINNING)[0])
    np.testing.assert_allclose(ratio[:, :2], thin, rtol=1e-4)
    stretch = needles.STRETCH[0] + SEVERITY * np.diff(needles.STRETCH)[0]
    longest = np.exp(before["log_scales"].max(axis=-1)) * stretch
    limit = needles.LONGEST * float(subject.extent)
    np.testing.assert_allclose(
        np.exp(after["log_scales"].max(axis=-1)), np.minimum(longest, limit), rtol=1e-4
    )
    np.testing.assert_allclose(
        after["logit_opacities"], before["logit_opacities"] + needles.LOGIT, rtol=1e-5
    )
