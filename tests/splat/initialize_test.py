"""The first Gaussians of a fit."""

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.geometry.cameras import Cameras
from aw_jax.splat import initialize
from aw_jax.splat.harmonics import rgb_from_sh

KEY = jax.random.key(0)


def test_size_is_the_root_mean_square_distance_to_the_three_nearest_points():
    points = np.asarray([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 2], [9, 9, 9.0]])
    splat = initialize.from_points(
        points, np.zeros((5, 3)), scene_scale=1.0, key=KEY, degree=1
    )
    expected = np.full(3, np.log(np.sqrt((1 + 4 + 4) / 3)))
    np.testing.assert_allclose(splat.log_scales[0], expected, atol=1e-6)


def test_sizes_can_be_a_share_of_the_distance():
    points = np.asarray([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 2.0]])
    whole, tenth = (
        initialize.from_points(
            points, points / 2, scene_scale=1.0, key=KEY, degree=0, size=size
        )
        for size in (1.0, 0.1)
    )
    np.testing.assert_allclose(
        tenth.log_scales, whole.log_scales + np.log(0.1), rtol=1e-5
    )


def test_color_opacity_and_degree_are_those_asked_for():
    colors = np.asarray([[0.2, 0.5, 0.9], [1, 0, 0.3], [0.1, 0.1, 0.1]])
    points = np.arange(9.0).reshape(3, 3)
    splat = initialize.from_points(
        points, colors, scene_scale=1.0, key=KEY, degree=2, opacity=0.3
    )
    assert splat.sh.shape == (3, 9, 3)
    np.testing.assert_allclose(rgb_from_sh(splat.sh[:, 0]), colors, atol=1e-6)
    assert not splat.sh[:, 1:].any()
    np.testing.assert_allclose(jax.nn.sigmoid(splat.logit_opacities), 0.3, rtol=1e-5)


def test_doubled_and_single_points_have_finite_sizes():
    for points in (np.zeros((6, 3)), np.zeros((1, 3))):
        splat = initialize.from_points(
            points, np.zeros_like(points), scene_scale=2.0, key=KEY, degree=0
        )
        expected = np.log(2 * initialize.CLOSEST)
        np.testing.assert_allclose(splat.log_scales, expected, rtol=1e-5)


def test_scene_scale_is_a_tenth_more_than_the_farthest_camera():
    poses = np.tile(np.eye(4, dtype=np.float32), (3, 1, 1))
    poses[:, 0, 3] = [0, -3, -6]  # centres at x = 0, 3, 6
    cameras = Cameras(
        camera_from_world=jnp.asarray(poses),
        intrinsics=jnp.tile(jnp.eye(3), (3, 1, 1)),
        width=4,
        height=4,
    )
    np.testing.assert_allclose(initialize.scene_scale(cameras), 3.3, rtol=1e-6)
    np.testing.assert_allclose(initialize.scene_scale(cameras[:1]), 1)
