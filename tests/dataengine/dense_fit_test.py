"""Dense fits: what they are given, and how close they come."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.data.procedural.seeds import TEST
from aw_jax.data.procedural.surface_points import SurfacePointsConfig
from aw_jax.data.procedural.worlds import scene
from aw_jax.dataengine import dense_fit as dense
from aw_jax.dataengine.dense_fit import DenseFitConfig
from aw_jax.splat.fit_config import FitConfig, McmcConfig
from aw_jax.splat.gaussians import empty

CONFIG = DenseFitConfig(
    views=6,
    points=SurfacePointsConfig(count=400, outliers=0.0),
    fit=FitConfig(steps=60, capacity=420, sh_degree=0, densify=McmcConfig()),
)


@pytest.fixture(scope="module")
def seen():
    return dense.dense_capture(
        scene(TEST.start + 100),
        np.random.default_rng(0),
        size=(49, 49),
        config=CONFIG,
    )


def test_a_capture_is_a_walk_of_so_many_photos(seen):
    assert seen.photos.shape == (6, 49, 49, 3)
    assert seen.cameras.camera_from_world.shape == (6, 4, 4)
    assert len(seen.points) == len(seen.colors) == 400


def test_a_fit_comes_closer_and_has_no_dead_rows(seen):
    fit = lambda: dense.dense_fit(
        seen.photos,
        seen.cameras,
        seen.points,
        seen.colors,
        config=CONFIG,
        key=jax.random.key(0),
    )
    splat = fit()
    assert dense.fidelity(splat, seen.photos, seen.cameras) > 16
    assert 400 <= len(splat.means) <= 420
    assert float(splat.logit_opacities.min()) > -19
    for ours, again in zip(jax.tree.leaves(splat), jax.tree.leaves(fit()), strict=True):
        assert np.array_equal(ours, again)


def test_fidelity_is_the_psnr_where_pixels_count(seen, monkeypatch):
    monkeypatch.setattr(dense, "_colors", lambda splat, cameras: seen.photos + 0.1)
    splat = empty()
    whole = dense.fidelity(splat, seen.photos, seen.cameras)
    assert whole == pytest.approx(20.0, abs=1e-3)
    off = jnp.zeros((6, 49, 49)).at[:, :10].set(1.0)
    apart = seen.photos.at[:, 10:].set(0.0)
    assert dense.fidelity(splat, apart, seen.cameras, weights=off) == pytest.approx(
        20.0
    )


def test_odd_configs_are_refused():
    with pytest.raises(ValueError, match="views"):
        DenseFitConfig(views=1)
    with pytest.raises(ValueError, match="capacity"):
        DenseFitConfig(fit=FitConfig(capacity=100))
