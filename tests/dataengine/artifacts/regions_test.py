"""Regions: their centres are in surfaces that show, not in the air at a silhouette."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.keys import at_step
from aw_jax.core.pytrees import replace
from aw_jax.dataengine.artifacts import regions
from aw_jax.dataengine.artifacts.subject import subject as look
from aw_jax.splat.rasterize import render

NEAR, FAR = 2.2, 5.0
COUNT = 1000
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def walls(subject):
    """A near wall, left, before a far one: as many Gaussians as `subject` has."""
    y, x = np.meshgrid(np.linspace(-1, 1, 20), np.linspace(-1, 1, 20))
    left = np.stack([2 * x - 2.1, 2 * y, np.full(x.shape, NEAR)], axis=-1)
    far = np.stack([5 * x, 5 * y, np.full(x.shape, FAR)], axis=-1)
    means = np.concatenate([left.reshape(-1, 3), far.reshape(-1, 3)])
    sizes = np.where(means[:, 2:] == NEAR, [0.12, 0.12, 0.01], [0.3, 0.3, 0.01])
    splat = replace(
        subject.splat,
        means=jnp.asarray(means, jnp.float32),
        log_scales=jnp.asarray(np.log(sizes), jnp.float32),
        quats=jnp.zeros((len(means), 4)).at[:, 0].set(1.0),
    )
    return look(splat, subject.cameras, subject.views)


def _on_a_wall(z):
    """Which lie as near to a wall as a step of depth may be, (near, far)."""
    return [np.abs(np.asarray(z) - wall) < regions.STEP * wall for wall in (NEAR, FAR)]


def test_a_weight_is_what_a_gaussian_fills_of_all_pixels(walls):
    # all tags at once sum to the alpha of the clip, one tag to that Gaussian's pixels
    np.testing.assert_allclose(walls.weight.sum(), walls.clean.alpha.sum(), rtol=1e-4)
    for row in np.argsort(walls.weight)[[-100, -1]]:
        tags = jnp.zeros(len(walls.weight)).at[row].set(1.0)
        shown = render(walls.splat, walls.cameras, tagged=tags).tagged.sum()
        assert shown > 1
        np.testing.assert_allclose(walls.weight[row], shown, rtol=1e-3)


def test_points_are_on_both_surfaces_and_none_hangs_between(walls):
    z = regions.surface_points(walls, KEY, count=COUNT)[:, 2]
    near, far = _on_a_wall(z)
    assert np.all(near | far)
    weight = np.asarray(walls.weight)
    share = weight[np.asarray(walls.splat.means[:, 2]) < 3].sum() / weight.sum()
    # 5 standard errors of 1000 draws
    assert 0.2 < share < 0.8
    assert near.mean() == pytest.approx(share, abs=0.08)


def test_a_radius_is_the_smallest_that_holds_a_share(walls):
    means, weight = (np.asarray(x) for x in (walls.splat.means, walls.weight))
    place, share = means[610], 0.2
    radius = regions._radius(walls, jnp.asarray(place), jnp.float32(share))
    inside = np.linalg.norm(means - place, axis=1) < radius * 1.0001
    assert weight[inside].sum() >= share * weight.sum()
    within = np.linalg.norm(means - place, axis=1) < radius * 0.9999
    assert weight[within].sum() < share * weight.sum()


def test_regions_hold_a_share_of_what_the_clip_shows(walls):
    region = jax.jit(lambda key: regions.region(walls, walls.splat.means, key))
    hits = [region(at_step(KEY, draw)) for draw in range(40)]
    shares = [np.sum(walls.weight * hit) / np.sum(walls.weight) for hit in hits]
    whole = np.isclose(shares, 1)
    low, high = regions.SHARE
    assert 0.05 < np.mean(whole) < 0.55  # 0.3, by 4 standard errors
    assert np.all(np.array(shares) >= low)
    assert np.all(np.array(shares)[~whole] < regions.MOST * (high + 0.1))
    assert np.ptp(np.array(shares)[~whole]) > 0.3


def test_pixels_are_on_both_surfaces_and_at_no_silhouette(walls):
    f, y, x = regions.surface_pixels(walls, KEY, count=COUNT)
    points = regions.unproject(
        walls.cameras[f], jnp.stack([x, y], -1) + 0.5, walls.clean.depth[f, y, x]
    )
    near, far = _on_a_wall(points[:, 2])
    assert np.all(near | far)
    assert 0.2 < near.mean() < 0.8


def test_smooth_is_where_depth_agrees_with_its_neighbours():
    rng = np.random.default_rng(0)
    depth = np.where(rng.uniform(size=(2, 9, 8)) < 0.1, 2.4, 2.0)
    depth = (depth + rng.uniform(0, 0.1, size=depth.shape)).astype(np.float32)
    found = np.asarray(regions._smooth(jnp.asarray(depth)))
    assert 0.1 < found.mean() < 0.9
    for f, y, x in np.ndindex(depth.shape):
        window = depth[f, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        assert found[f, y, x] == (np.ptp(window) <= regions.STEP * depth[f, y, x])


def test_a_clip_that_is_all_edges_has_pixels_where_it_is_covered(walls):
    checks = jnp.indices(walls.clean.depth.shape).sum(axis=0) % 2
    alpha = walls.clean.alpha.at[:, :, 10:].set(0.0)
    clean = replace(walls.clean, depth=2.0 + checks, alpha=alpha)
    _, _, x = regions.surface_pixels(replace(walls, clean=clean), KEY, count=COUNT)
    assert np.all(np.asarray(x) < 10)
    assert np.ptp(np.asarray(x)) == 9
