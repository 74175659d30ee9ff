import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.images import resize

IMAGES = jax.random.uniform(jax.random.key(0), (2, 12, 15, 3))


def test_area_over_a_whole_factor_is_the_mean_of_blocks():
    got = resize.area(IMAGES, height=4, width=5)
    blocks = IMAGES.reshape(2, 4, 3, 5, 3, 3).mean((2, 4))
    np.testing.assert_allclose(got, blocks, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(7, 11), (12, 15), (1, 1)])
def test_area_over_any_factor_equals_opencv_and_keeps_the_mean(height, width):
    got = resize.area(IMAGES, height=height, width=width)
    peer = [
        cv2.resize(np.asarray(x), (width, height), interpolation=cv2.INTER_AREA)
        for x in IMAGES
    ]
    np.testing.assert_allclose(got, np.stack(peer), atol=1e-5)
    np.testing.assert_allclose(got.mean((1, 2)), IMAGES.mean((1, 2)), atol=1e-6)


def test_area_refuses_to_enlarge():
    with pytest.raises(ValueError, match="15x12 -> 15x13"):
        resize.area(IMAGES, height=13, width=15)


@pytest.mark.parametrize(("height", "width"), [(20, 31), (7, 11), (12, 15)])
def test_bilinear_equals_opencv(height, width):
    got = resize.bilinear(IMAGES, height=height, width=width)
    peer = [
        cv2.resize(np.asarray(x), (width, height), interpolation=cv2.INTER_LINEAR)
        for x in IMAGES
    ]
    np.testing.assert_allclose(got, np.stack(peer), atol=1e-5)


def test_bilinear_keeps_a_ramp_away_from_the_border():
    ramp = jnp.arange(8.0)[None, :, None] * jnp.ones((3, 8, 1))
    got = resize.bilinear(ramp, height=3, width=16)[0, 1:-1, 0]
    np.testing.assert_allclose(got, (jnp.arange(16.0)[1:-1] + 0.5) / 2 - 0.5, atol=1e-6)
