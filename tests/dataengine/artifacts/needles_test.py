"""Needles: where they point, and how long and thin they are."""

import jax
import numpy as np
import pytest

from aw_jax.core.keys import named
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


def _rays(subject, rows):
    """From each row to the view that needles of seed 3 point at, and its distance."""
    view = needles._view(subject, named(jax.random.key(3), "needles"))
    assert view in np.asarray(centers(subject.views))
    away = np.asarray(view) - rows["means"]
    distance = np.linalg.norm(away, axis=-1)
    return away / distance[:, None], distance


def test_the_long_axis_points_at_a_view(subject, pairs):
    _, after = pairs
    cosines = np.abs(np.sum(_rays(subject, after)[0] * _long_axes(after), axis=-1))
    degrees = np.degrees(np.arccos(np.minimum(cosines, 1)))
    assert degrees.max() <= needles.ASTRAY + 0.05
    assert degrees.max() > needles.ASTRAY / 2


def test_a_needle_comes_out_by_its_length_along_its_ray(subject, pairs):
    before, after = pairs
    ray, _ = _rays(subject, before)
    length = np.exp(after["log_scales"].max(axis=-1, keepdims=True))
    moved = after["means"] - before["means"]
    np.testing.assert_allclose(moved, length * ray, atol=1e-5)


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
    limit = needles.LONGEST * _rays(subject, before)[1]
    np.testing.assert_allclose(
        np.exp(after["log_scales"].max(axis=-1)), np.minimum(longest, limit), rtol=1e-4
    )
    np.testing.assert_allclose(
        after["logit_opacities"], before["logit_opacities"] + needles.LOGIT, rtol=1e-5
    )
