"""Statistics of the geometric types on pictures of which the answer is known."""

import numpy as np
import pytest
from scipy import ndimage

from aw_jax.core.pytrees import replace
from aw_jax.dataengine.artifacts import statistics_geometry as statistics
from aw_jax.dataengine.artifacts.seen import Seen
from aw_jax.dataengine.artifacts.statistics import STATISTICS


@pytest.fixture(scope="module")
def same(subject):
    noise = np.random.default_rng(0).uniform(size=(2, 32, 32, 3))
    picture = ndimage.gaussian_filter(noise, (0, 1, 1, 0)).astype(np.float32)
    whole = np.ones((2, 32, 32), np.float32)
    return Seen(
        clean=picture,
        broken=picture,
        clean_alpha=whole,
        broken_alpha=whole,
        clean_depth=4 * whole,
        broken_depth=4 * whole,
        cameras=subject.cameras[:2],
    )


@pytest.mark.parametrize("name", ["floaters", "dilation", "needles", "cracks"])
def test_nothing_is_found_where_nothing_broke(same, name):
    assert STATISTICS[name](same) == 0


def _quarter(x, value):
    x = x.copy()
    x[:, :16, :16] = value
    return x


def test_floaters_are_the_share_of_nearer_pixels(same):
    assert statistics.floaters(
        replace(same, broken_depth=_quarter(same.broken_depth, 2.0))
    ) == pytest.approx(0.25)
    assert not statistics.floaters(
        replace(same, broken_depth=_quarter(same.broken_depth, 8.0))
    )


def test_a_silhouette_a_little_off_is_no_floater(same):
    step = lambda at: np.where(np.arange(32) < at, 2.0, 4.0) * np.ones((2, 32, 1))
    edge = replace(same, clean_depth=step(10))
    assert statistics.floaters(replace(edge, broken_depth=step(12))) == 0
    # what is more than half of `AROUND` out: 4 of 6 columns
    assert statistics.floaters(replace(edge, broken_depth=step(16))) == pytest.approx(
        4 / 32
    )
    void = replace(same, clean_depth=step(10) - 2.0)
    assert statistics.floaters(replace(void, broken_depth=same.clean_depth / 3)) > 0


def test_cracks_are_what_is_open_or_shows_what_is_behind(same):
    void = replace(same, broken_alpha=_quarter(same.broken_alpha, 0.2))
    assert statistics.cracks(void) == pytest.approx(0.25 * 0.7 / 0.9)
    behind = replace(same, broken_depth=_quarter(same.broken_depth, 8.0))
    assert statistics.cracks(behind) == pytest.approx(0.25)
    both = replace(void, clean_alpha=_quarter(same.clean_alpha, 0.3))
    assert statistics.cracks(both) == 0  # was not covered before


def test_dilation_wants_lost_detail_and_changed_colors(same):
    smooth = ndimage.gaussian_filter(same.clean, (0, 1, 1, 0))
    blob = ndimage.gaussian_filter(same.clean, (0, 4, 4, 0)) + 0.2
    blur, specks = (
        statistics.dilation(replace(same, broken=x.astype(np.float32)))
        for x in (smooth, same.clean + np.random.default_rng(1).normal(size=(32, 1)))
    )
    assert statistics.dilation(replace(same, broken=blob)) > 10 * max(blur, specks)


def test_needles_are_lines_and_not_discs(same):
    y, x = np.mgrid[:32, :32] - 16.0
    line = np.exp(-(y**2) / 2) * (np.abs(x) < 12)
    disc = np.exp(-(x**2 + y**2) / 50)
    disc *= np.sqrt(np.sum(line**2) / np.sum(disc**2))
    found = [
        statistics.needles(replace(same, broken=(same.clean + 0.3 * s[..., None])))
        for s in (line.astype(np.float32), disc.astype(np.float32))
    ]
    assert found[0] > 2 * found[1] > 0


def test_an_edge_a_little_off_is_no_streak(same):
    off = lambda x: ndimage.shift(same.clean, (0, 0, x, 0), order=1, mode="nearest")
    little, more = (
        statistics._streaks(replace(same, broken=off(x))).mean() for x in (0.3, 1.5)
    )
    assert little < 0.1 * more


def test_streaks_of_an_edge_that_goes_are_none_of_a_needle(same):
    edge = 0.2 + 0.6 * (np.arange(32) > 15) * np.ones((2, 32, 1))
    edge = np.repeat(edge[..., None], 3, axis=-1).astype(np.float32)
    soft = ndimage.gaussian_filter(edge, (0, 0, 3, 0))
    blurred = replace(same, clean=edge, broken=soft)
    assert statistics._streaks(blurred).max() > 0.02
    assert statistics.needles(blurred) < 0
    assert statistics.needles(replace(same, clean=soft, broken=edge)) > 0
