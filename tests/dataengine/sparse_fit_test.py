"""What a sparse fit is given: photos of one exposure, or as a phone exposes them."""

import dataclasses

import numpy as np

from aw_jax.data.procedural.seeds import TEST
from aw_jax.data.procedural.worlds import scene
from aw_jax.dataengine.sparse_fit import SparseFitConfig, sparse_capture


def _seen(world, **changes):
    rng = np.random.default_rng(0)
    config = SparseFitConfig(views=(2, 3), **changes)
    return sparse_capture(world, rng, frames=9, size=(49, 49), config=config)


def test_auto_exposure_scales_the_light_of_photos_and_leaves_the_walk_alone():
    world = dataclasses.replace(scene(TEST[27], texture_size=32), metering=0.8)
    locked, free = _seen(world), _seen(world, auto_exposure=True)
    assert np.array_equal(locked.gains, np.ones(len(locked.photos)))
    assert np.array_equal(locked.walk.camera_from_world, free.walk.camera_from_world)
    gains = np.asarray(free.gains, float)
    assert np.ptp(np.log2(gains)) > 0.02
    expected = np.asarray(locked.photos, float) ** 2 * gains[:, None, None, None]
    seen = np.asarray(free.photos, float) ** 2
    unclipped = (np.asarray(locked.photos) < 0.999) & (expected < 1)
    np.testing.assert_allclose(seen[unclipped], expected[unclipped], atol=1e-5)
