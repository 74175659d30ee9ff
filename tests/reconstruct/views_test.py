import jax.numpy as jnp
import numpy as np

from aw_jax.geometry.cameras import Cameras
from aw_jax.reconstruct.views import anchors, count, select
from aw_jax.splat.targets import Targets


def targets(number, width, height, value):
    k = jnp.asarray([[40.0, 0, width / 2], [0, 40.0, height / 2], [0, 0, 1]])
    return Targets(
        images=value
        + jnp.arange(number)[:, None, None, None]
        * jnp.ones((1, height, width, 3))
        / 100,
        cameras=Cameras(
            camera_from_world=jnp.tile(jnp.eye(4), (number, 1, 1)),
            intrinsics=jnp.tile(k, (number, 1, 1)),
            width=width,
            height=height,
        ),
    )


GROUPS = (targets(3, 24, 16, 0.0), targets(2, 16, 24, 0.5))


def test_selection_counts_through_all_sizes():
    assert count(GROUPS) == 5
    found = select(GROUPS, [4, 0, 2])
    assert [len(group.images) for group in found] == [2, 1]
    values = [float(image[0, 0, 0]) for group in found for image in group.images]
    np.testing.assert_allclose(values, [0.0, 0.02, 0.51], atol=1e-6)
    assert [len(g.images) for g in select(GROUPS, [3, 4])] == [2]


def test_anchors_hold_every_view_in_one_size():
    stack = anchors(GROUPS, width=8, height=8)
    assert stack.photos.shape == (5, 8, 8, 3)
    assert stack.cameras.intrinsics.shape == (5, 3, 3)
    np.testing.assert_allclose(
        stack.photos[:, 4, 4, 0], [0.0, 0.01, 0.02, 0.5, 0.51], atol=1e-5
    )
