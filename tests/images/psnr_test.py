import jax.numpy as jnp
import numpy as np

from aw_jax.images.psnr import psnr


def test_an_error_of_a_tenth_is_twenty_decibels_per_image():
    truth = jnp.full((2, 3, 4, 3), 0.5)
    offsets = jnp.asarray([0.1, 0.01])[:, None, None, None]
    np.testing.assert_allclose(psnr(truth + offsets, truth), [20, 40], rtol=1e-4)


def test_equal_images_are_infinitely_close():
    assert psnr(jnp.ones((2, 2, 3)), jnp.ones((2, 2, 3))) == jnp.inf
