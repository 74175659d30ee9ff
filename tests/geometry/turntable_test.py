import jax.numpy as jnp
import numpy as np

from aw_jax.geometry.cameras import centers, project
from aw_jax.geometry.turntable import turntable


def test_every_frame_sees_the_middle_from_outside():
    points = np.random.default_rng(0).normal(size=(500, 3)) + [5, -2, 1]
    cameras = turntable(points, frames=8, width=64, height=48)
    middle = jnp.asarray(np.median(points, axis=0)[None], jnp.float32)
    pixels, depth = project(cameras, middle)
    np.testing.assert_allclose(pixels[:, 0], np.tile([32, 24], (8, 1)), atol=1e-2)
    assert float(depth.min()) > 1
    places = np.asarray(centers(cameras))
    assert len(np.unique(places.round(3), axis=0)) == 8
