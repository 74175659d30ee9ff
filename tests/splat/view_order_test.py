"""Which view a step looks at."""

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.geometry.cameras import Cameras
from aw_jax.splat.targets import Targets
from aw_jax.splat.view_order import ViewOrder, shuffled

KEY = jax.random.key(0)


def targets(values, width):
    count = len(values)
    images = jnp.asarray(values)[:, None, None, None] * jnp.ones((1, 2, width, 3))
    cameras = Cameras(
        camera_from_world=jnp.tile(jnp.eye(4), (count, 1, 1)),
        intrinsics=jnp.tile(jnp.eye(3), (count, 1, 1)),
        width=width,
        height=2,
    )
    return Targets(images=images, cameras=cameras)


def test_every_epoch_holds_every_view_once_and_epochs_differ():
    order = shuffled(KEY, 0, 35, 7).reshape(5, 7)
    np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(np.arange(7), (5, 1)))
    assert len({tuple(epoch) for epoch in order}) > 1


def test_a_later_start_draws_what_the_whole_would_have():
    whole = shuffled(KEY, 0, 35, 7)
    np.testing.assert_array_equal(shuffled(KEY, 12, 30, 7), whole[12:30])


def test_views_of_all_sizes_take_their_turn():
    groups = (targets([0.0, 1.0], 3), targets([2.0, 3.0, 4.0], 5))
    order = ViewOrder(groups, KEY, 5, 10)
    seen = [order(step) for step in range(5, 10)]
    assert sorted(float(view.images.max()) for view in seen) == [0, 1, 2, 3, 4]
    assert all(view.images.shape[2] == view.cameras.width for view in seen)


def test_no_views_give_an_empty_order():
    assert len(shuffled(KEY, 0, 10, 0)) == 0
