import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core import numerics
from aw_jax.splat import harmonics

DRAW = np.random.default_rng(0)
SH = jnp.asarray(DRAW.normal(size=(5, 16, 3)), jnp.float32)
OFFSETS = jnp.asarray(DRAW.normal(size=(2, 5, 3)), jnp.float32)
WEIGHTS = jnp.asarray(DRAW.normal(size=(2, 5, 3)), jnp.float32)


def ours(sh, offsets, degree):
    direction = numerics.components(numerics.unit(offsets))
    return harmonics.colors(sh, direction, degree=degree)


def plain(sh, offsets, degree):
    """The definition, differentiated by JAX alone."""
    weights = harmonics.basis(numerics.unit(offsets), degree=degree)
    used = sh[:, : weights.shape[-1]]
    color = 0.5 + jnp.sum(weights[..., None] * used, axis=-2)
    return jnp.where(color >= 0, color, 0)


@pytest.mark.parametrize("degree", range(4))
def test_colors_and_gradients_are_those_of_the_definition(degree):
    scalar = lambda f: lambda sh, x: jnp.vdot(f(sh, x, degree), WEIGHTS)
    np.testing.assert_allclose(
        ours(SH, OFFSETS, degree), plain(SH, OFFSETS, degree), atol=1e-5
    )
    found = jax.grad(scalar(ours), argnums=(0, 1))(SH, OFFSETS)
    expected = jax.grad(scalar(plain), argnums=(0, 1))(SH, OFFSETS)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_harmonics_are_orthonormal_over_the_sphere():
    """By a product of Gauss-Legendre in z and equal steps around it."""
    z, share = np.polynomial.legendre.leggauss(8)
    angle = 2 * np.pi * np.arange(16) / 16
    radius = np.sqrt(1 - z**2)[:, None]
    around = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    heights = np.broadcast_to(z[:, None, None], (*around.shape[:2], 1))
    sphere = jnp.asarray(np.concatenate([around, heights], axis=-1), jnp.float32)
    values = np.asarray(harmonics.basis(sphere, degree=3), np.float64)
    gram = np.einsum("z,zau,zav->uv", share * 2 * np.pi / 16, values, values)
    np.testing.assert_allclose(gram, np.eye(16), atol=1e-5)
