"""The photometric loss and its weights."""

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.images.ssim import ssim
from aw_jax.splat.fit_config import LossConfig
from aw_jax.splat.loss import photometric

X, Y = jax.random.uniform(jax.random.key(0), (2, 14, 17, 3))


def test_loss_is_eight_parts_l1_and_two_parts_dissimilarity():
    expected = 0.8 * jnp.abs(X - Y).mean() + 0.2 * (1 - ssim(X, Y))
    np.testing.assert_allclose(
        photometric(X, Y, config=LossConfig()), expected, rtol=1e-6
    )


def test_weights_of_one_change_nothing():
    plain = photometric(X, Y, config=LossConfig())
    weighted = photometric(X, Y, jnp.ones((14, 17)), config=LossConfig())
    np.testing.assert_allclose(weighted, plain, rtol=1e-6)


def test_unknown_pixels_neither_cost_nor_pull():
    weights = jnp.ones((14, 17)).at[:, :6].set(0)
    loss = lambda x, y: photometric(x, y, weights, config=LossConfig())
    gradient = jax.grad(loss)(X, Y)
    assert not gradient[:, :6].any()
    assert gradient[:, 6:].any()
    changed = Y.at[:, :6].set(0.3)
    np.testing.assert_allclose(
        loss(X.at[:, :6].set(0.3), changed), loss(X, changed), rtol=1e-6
    )
