import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core import numerics
from aw_jax.splat import harmonics
from aw_jax.splat.kernels import native

DRAW = np.random.default_rng(0)
SH = jnp.asarray(DRAW.normal(size=(5, 16, 3)), jnp.float32)
OFFSETS = jnp.asarray(DRAW.normal(size=(2, 5, 3)), jnp.float32)
WEIGHTS = jnp.asarray(DRAW.normal(size=(2, 5, 3)), jnp.float32)


KERNELS = [
    False,
    pytest.param(
        True,
        marks=pytest.mark.skipif(not native.available(), reason="needs a C++ compiler"),
    ),
]


def ours(sh, offsets, degree, by_kernel, count=None):
    direction = numerics.components(numerics.unit(offsets))
    return harmonics.colors(sh, direction, degree=degree, native=by_kernel, count=count)


def plain(sh, offsets, degree):
    """The definition, differentiated by JAX alone."""
    weights = harmonics.basis(numerics.unit(offsets), degree=degree)
    used = sh[:, : weights.shape[-1]]
    color = 0.5 + jnp.sum(weights[..., None] * used, axis=-2)
    return jnp.where(color >= 0, color, 0)


def assert_like_the_definition(found, sh, degree, atol=1e-5):
    """Values and gradients of `found(sh, offsets)` where both are used."""
    expected = lambda sh, x: plain(sh, x, degree)
    scalar = lambda f: lambda *inputs: jnp.vdot(f(*inputs), WEIGHTS)
    np.testing.assert_allclose(found(sh, OFFSETS), expected(sh, OFFSETS), atol=atol)
    slopes = (jax.grad(scalar(f), argnums=(0, 1)) for f in (found, expected))
    for a, b in zip(*(slope(sh, OFFSETS) for slope in slopes), strict=True):
        np.testing.assert_allclose(a, b, atol=atol)


@pytest.mark.parametrize("by_kernel", KERNELS)
@pytest.mark.parametrize("degree", range(4))
def test_colors_and_gradients_are_those_of_the_definition(degree, by_kernel):
    assert_like_the_definition(lambda sh, x: ours(sh, x, degree, by_kernel), SH, degree)


@pytest.mark.parametrize("by_kernel", KERNELS)
def test_closed_harmonics_count_for_nothing(by_kernel):
    """Of degree 3, the first four are those of degree 1."""
    count = jnp.asarray(4)
    assert_like_the_definition(lambda sh, x: ours(sh, x, 3, by_kernel, count), SH, 1)


@pytest.mark.parametrize("by_kernel", KERNELS)
@pytest.mark.parametrize("axes", [(None, 0), (0, None), (0, 0)])
def test_vmap_is_one_after_another(axes, by_kernel):
    stacks = (jnp.stack([SH, 2 * SH]), jnp.stack([OFFSETS, -OFFSETS]))
    pair = tuple(
        x if axis is None else many
        for x, many, axis in zip((SH, OFFSETS), stacks, axes, strict=True)
    )
    one = lambda sh, x: ours(sh, x, 3, by_kernel)
    pull = lambda sh, x: jax.grad(lambda s: jnp.vdot(one(s, x), WEIGHTS))(sh)
    for f in (one, pull):
        rows = [
            f(*(x if a is None else x[i] for x, a in zip(pair, axes, strict=True)))
            for i in range(2)
        ]
        found = jax.vmap(f, in_axes=axes)(*pair)
        np.testing.assert_allclose(found, np.stack(rows), atol=1e-5)


@pytest.mark.skipif(not native.available(), reason="needs a C++ compiler")
def test_a_cotangent_that_is_no_number_is_passed_on():
    lost = WEIGHTS * jnp.nan
    found, expected = (
        jax.grad(lambda sh, color=color: jnp.vdot(color(sh), lost))(SH)
        for color in (
            lambda sh: ours(sh, OFFSETS, 3, True),
            lambda sh: plain(sh, OFFSETS, 3),
        )
    )
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))


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
