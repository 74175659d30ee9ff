"""Floaters: on rays of training views, before the surface, in the pixel's color."""

import jax
import numpy as np
import pytest

from aw_jax.core.keys import named
from aw_jax.dataengine.artifacts import floaters
from aw_jax.geometry.cameras import project
from aw_jax.splat.gaussians import DEAD_LOGIT
from aw_jax.splat.harmonics import rgb_from_sh


def _living(subject, draft):
    """The floaters of a draft, those that are drawn."""
    logits = np.asarray(draft.splat.logit_opacities)
    added = np.arange(len(logits)) >= len(subject.splat.means)
    return np.flatnonzero(added & (logits > DEAD_LOGIT))


def _on_rays(subject, draft):
    """Of each living floater: its view, its pixel and its depth there."""
    rows = _living(subject, draft)
    view, pixels, _ = floaters._pixels(subject, named(jax.random.key(3), "floaters"))
    view, pixels = np.asarray(view)[: len(rows)], np.asarray(pixels)[: len(rows)]
    found, depth = project(subject.views, draft.splat.means[rows])
    each = np.arange(len(rows))
    found, depth = np.asarray(found)[view, each], np.asarray(depth)[view, each]
    np.testing.assert_allclose(found, pixels, atol=0.02)
    x, y = np.floor(pixels).astype(int).T
    return view, y, x, depth


@pytest.mark.parametrize(("severity", "count"), [(0.05, 39), (0.5, 210), (1.0, 400)])
def test_severity_says_how_many_live(subject, broken, severity, count):
    assert len(_living(subject, broken(seed=3, floaters=severity))) == count


def test_they_hang_before_the_surface_that_their_pixel_shows(subject, broken):
    draft = broken(seed=3, floaters=0.3)
    view, y, x, depth = _on_rays(subject, draft)
    surface = np.asarray(subject.seen.depth)[view, y, x]
    low = floaters.NEAREST[0] + 0.3 * np.diff(floaters.NEAREST)[0]
    assert np.all(depth < 0.95 * surface + 1e-3)
    assert np.all(depth > 0)
    # its cluster's surface may be nearer than its own, never farther; noise of 2 %
    assert np.quantile(depth / surface, 0.9) < floaters.FARTHEST * 1.05
    assert np.median(depth / surface) > 0.9 * low


def test_they_have_their_pixels_color(subject, broken):
    draft = broken(seed=3, floaters=0.3)
    view, y, x, _ = _on_rays(subject, draft)
    rows = _living(subject, draft)
    color = np.asarray(rgb_from_sh(draft.splat.sh[rows, 0]))
    gap = color - np.asarray(subject.seen.color)[view, y, x]
    assert 0.02 < np.std(gap) < 0.08  # COLOR, and clipped
    assert not np.any(draft.splat.sh[rows, 1:])


def test_they_come_nearer_with_severity(subject, broken):
    near = _on_rays(subject, broken(seed=3, floaters=0.3))[-1]
    nearer = _on_rays(subject, broken(seed=3, floaters=0.9))[-1][: len(near)]
    assert np.all(nearer <= near + 1e-4)
    assert np.median(nearer / near) < 0.95
