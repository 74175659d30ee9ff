"""Floaters: on rays of training views, before the surface, in the pixel's color."""

import jax
import numpy as np
import pytest

from aw_jax.core.keys import named
from aw_jax.dataengine.artifacts import floaters
from aw_jax.geometry.cameras import project
from aw_jax.splat.gaussians import DEAD_LOGIT
from aw_jax.splat.harmonics import rgb_from_sh

SIZE = 48


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


def test_a_cluster_is_on_the_ray_that_the_clip_shows_most_of(subject):
    key = jax.random.key(3)
    tries = (floaters.TRIES, floaters.MOST // floaters.CLUSTER)
    views = jax.random.randint(named(key, "view"), tries, 0, len(subject.seen.depth))
    pixels = SIZE * jax.random.uniform(named(key, "centre"), (*tries, 2))
    views, pixels = np.asarray(views), np.asarray(pixels)
    found = np.array(
        [
            [_times(subject, *x) for x in zip(*row, strict=True)]
            for row in zip(views, pixels, strict=True)
        ]
    )
    best = np.argmax(found, axis=0), np.arange(tries[1])
    assert np.ptp(found) > 0
    view, centre = floaters._rays(subject, key)
    np.testing.assert_array_equal(view, views[best])
    np.testing.assert_array_equal(centre, pixels[best])


def _times(subject, view, pixel):
    """How often three places on a ray are in the clip's pictures, frame by frame."""
    to_view, inner = (
        np.asarray(getattr(subject.views, name)[view], np.float64)
        for name in ("camera_from_world", "intrinsics")
    )
    x, y = pixel
    depth = float(np.asarray(subject.seen.depth)[view, int(y), int(x)])
    count = 0
    for share in np.linspace(floaters.NEAREST[1], floaters.FARTHEST, 3):
        local = share * depth * np.linalg.solve(inner, [x, y, 1.0])
        point = np.linalg.solve(to_view, np.append(local, 1.0))
        clip = np.asarray(subject.cameras.camera_from_world) @ point
        image = np.einsum("fij,fj->fi", subject.cameras.intrinsics, clip[:, :3])
        place = image[:, :2] / image[:, 2:]
        inside = np.all((place >= 0) & (place < SIZE), axis=1) & (image[:, 2] > 0)
        count += int(inside.sum())
    return count
