"""The similarity against a dense loop, against skimage, and its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from aw_jax.images.ssim import RADIUS, ssim, ssim_map


def pair(shape=(19, 23, 3), seed=0):
    x = jax.random.uniform(jax.random.key(seed), shape)
    noise = jax.random.normal(jax.random.key(seed + 1), shape)
    return x, jnp.clip(x + 0.2 * noise, 0, 1)


def dense_map(x, y):
    """Float64 loop over pixels, black beyond the border."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    offsets = np.arange(-5, 6)
    bell = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    bell = (bell / bell.sum())[..., None]
    pad = [(5, 5), (5, 5), (0, 0)]
    x_padded, y_padded = np.pad(x, pad), np.pad(y, pad)
    out = np.empty_like(x)
    for i, j in np.ndindex(x.shape[:2]):
        a, b = x_padded[i : i + 11, j : j + 11], y_padded[i : i + 11, j : j + 11]
        mean = lambda z: (bell * z).sum((0, 1))
        covariance = mean(a * b) - mean(a) * mean(b)
        variances = mean(a * a) - mean(a) ** 2 + mean(b * b) - mean(b) ** 2
        luminance = 2 * mean(a) * mean(b) + 1e-4
        luminance /= mean(a) ** 2 + mean(b) ** 2 + 1e-4
        out[i, j] = luminance * (2 * covariance + 9e-4) / (variances + 9e-4)
    return out


def test_map_equals_a_dense_loop_over_pixels():
    x, y = pair()
    np.testing.assert_allclose(ssim_map(x, y), dense_map(x, y), atol=2e-6)


def test_inside_of_the_map_equals_skimage():
    x, y = pair((24, 31, 3))
    _, expected = structural_similarity(
        np.asarray(x, np.float64),
        np.asarray(y, np.float64),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=-1,
        full=True,
    )
    inside = np.s_[RADIUS:-RADIUS, RADIUS:-RADIUS]
    np.testing.assert_allclose(ssim_map(x, y)[inside], expected[inside], atol=2e-6)
    valid = ssim(x, y, padding="valid")
    np.testing.assert_allclose(valid, expected[inside].mean(), atol=1e-6)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_every_image_of_a_batch_gets_its_own_figure(batch):
    x, y = pair((*batch, 12, 13, 3))
    got = ssim(x, y)
    assert got.shape == batch
    flat = [
        ssim(a, b)
        for a, b in zip(x.reshape(-1, 12, 13, 3), y.reshape(-1, 12, 13, 3), strict=True)
    ]
    np.testing.assert_allclose(got.ravel(), np.stack(flat), atol=1e-6)


def test_equal_images_score_one_and_the_measure_is_symmetric():
    x, y = pair()
    np.testing.assert_allclose(ssim(x, x), 1, atol=1e-6)
    np.testing.assert_allclose(ssim(x, y), ssim(y, x), atol=1e-6)


def test_gradient_equals_finite_differences():
    x, y = pair((13, 14, 3))
    direction = jax.random.normal(jax.random.key(7), x.shape)
    with jax.enable_x64(True):
        x, y, direction = (
            jnp.asarray(np.asarray(a, np.float64)) for a in (x, y, direction)
        )
        slope = lambda f, z: (f(z + 1e-5 * direction) - f(z - 1e-5 * direction)) / 2e-5
        for f in (lambda z: ssim(z, y), lambda z: ssim(y, z)):
            got = jnp.sum(jax.grad(f)(x) * direction)
            np.testing.assert_allclose(got, slope(f, x), rtol=1e-6)
