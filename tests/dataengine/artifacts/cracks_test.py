"""Cracks: where plates meet, and what becomes of Gaussians there and inside."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.keys import named
from aw_jax.dataengine.artifacts import cracks
from aw_jax.dataengine.artifacts.regions import surface_points
from aw_jax.splat.gaussians import DEAD_LOGIT

SEVERITY = 0.8


@pytest.fixture(scope="module")
def rims(subject):
    """Of every Gaussian, by the edit's own plates."""
    key = named(named(jax.random.key(3), "cracks"), "plates")
    centres = surface_points(subject, key, count=cracks.PLATES)
    return np.asarray(cracks._rim(subject.splat.means, centres))


def test_rims_are_distances_to_the_nearest_bisecting_plane():
    points = np.random.default_rng(0).normal(size=(20, 3))
    centres = np.random.default_rng(1).normal(size=(7, 3))
    rim = cracks._rim(jnp.float32(points), jnp.float32(centres))
    for point, found in zip(points, rim, strict=True):
        order = np.argsort(np.linalg.norm(centres - point, axis=1))
        a, b = centres[order[:2]]
        half = np.linalg.norm(b - a) / 2
        away = abs(np.dot(point - (a + b) / 2, b - a)) / (2 * half)
        assert np.isclose(found, away / half, rtol=1e-4)


def test_rims_open_and_only_rims(subject, broken, rims):
    draft = broken(seed=3, cracks=SEVERITY)
    hit = np.asarray(draft.touched[: len(rims)]) > 0
    gone = np.asarray(draft.splat.logit_opacities[: len(rims)]) == DEAD_LOGIT
    low, high = cracks.OPEN
    np.testing.assert_array_equal(gone, hit & (rims < low + SEVERITY * (high - low)))
    assert 0.02 < gone.sum() / hit.sum() < 0.5


def test_gaussians_shrink_and_shake_most_at_rims(subject, broken, rims):
    draft, splat = broken(seed=3, cracks=SEVERITY), subject.splat
    hit = np.asarray(draft.touched[: len(rims)]) > 0
    shrunk = np.asarray(splat.log_scales - draft.splat.log_scales[: len(rims)])[hit]
    low, high = cracks.COMPRESSION
    full = low + SEVERITY * (high - low)
    loose = cracks.WHOLE + (1 - cracks.WHOLE) * np.exp(
        -((rims[hit] / cracks.LOOSE) ** 2)
    )
    np.testing.assert_allclose(shrunk, full * loose[:, None] * [1, 1, 1], atol=1e-5)
    moved = np.asarray(draft.splat.means[: len(rims)] - splat.means)[hit]
    low, high = cracks.JITTER
    size = (low + SEVERITY * (high - low)) * np.asarray(subject.spacing)[hit] * loose
    assert 0.85 < np.std(moved / size[:, None]) < 1.15


def test_a_stronger_crack_takes_in_a_weaker_one(broken):
    opened = [
        np.asarray(broken(seed=3, cracks=s).splat.logit_opacities) == DEAD_LOGIT
        for s in (0.2, 0.5, 0.8)
    ]
    for weak, strong in itertools.pairwise(opened):
        assert np.all(strong[weak])
        assert strong.sum() > weak.sum()
