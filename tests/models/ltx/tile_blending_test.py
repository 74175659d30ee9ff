import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.models.ltx.tile_blending import Blend, blended

STARTS, SIZES = ([0, 4, 5], [0, 3], [0, 5, 9]), (6, 5, 7)
SHAPE = (11, 8, 16)


def grid(before=0, after=0):
    overlaps = (2, 2, 2)
    return [
        Blend.of(starts, size, overlap, before=before, after=after)
        for starts, size, overlap in zip(STARTS, SIZES, overlaps, strict=True)
    ]


def run_blended(codec, x, blends):
    pieces = list(zip(STARTS, SIZES, strict=True))
    return jax.jit(lambda x: blended(codec, x, pieces, blends, (*SHAPE, 2)))(x)


def example():
    return jax.random.normal(jax.random.key(0), (2, *SHAPE, 2))


@pytest.mark.parametrize("margin", [0, 1])
def test_a_codec_that_changes_nothing_gives_every_number_back_exactly(margin):
    x = example()
    found = run_blended(lambda piece, _: piece, x, grid(margin, margin))
    np.testing.assert_array_equal(found, x)


def test_a_constant_codec_gives_that_constant_exactly():
    found = run_blended(lambda piece, _: jnp.full_like(piece, 0.3), example(), grid())
    np.testing.assert_array_equal(found, jnp.full_like(found, 0.3))


def test_tiles_that_differ_are_averaged_by_the_product_of_their_weights():
    """The slow twin: a weighted mean, tile by tile, weights along each axis."""
    x = np.asarray(example(), np.float64)
    blends = grid()
    total, weights = np.zeros_like(x), np.zeros_like(x)
    for tile in itertools.product(*(range(len(s)) for s in STARTS)):
        at = tuple(
            slice(starts[i], starts[i] + size)
            for starts, size, i in zip(STARTS, SIZES, tile, strict=True)
        )
        rows = [blend.weights[i] for blend, i in zip(blends, tile, strict=True)]
        weight = np.einsum("i,j,k->ijk", *rows)[..., None]
        piece = x[:, *at]
        total[:, *at] += weight * (piece + piece.mean())
        weights[:, *at] += weight
    np.testing.assert_allclose(weights, 1, atol=1e-12)
    found = run_blended(lambda piece, _: piece + piece.mean(), example(), blends)
    np.testing.assert_allclose(found, total, atol=1e-5)


@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 0), (1, 2), (2, 3)])
def test_weights_ramp_linearly_between_the_margins_and_sum_to_one(before, after):
    first, last = Blend.of([0, 7], 12, 5, before=before, after=after).weights
    np.testing.assert_array_equal(first[:7], 1)
    np.testing.assert_array_equal(last[5:], 1)
    np.testing.assert_allclose(first[7:] + last[:5], 1)
    np.testing.assert_array_equal(last[:before], 0)
    np.testing.assert_array_equal(first[12 - after :], 0)
    ramp = last[before : 5 - after]
    steps = np.arange(1, len(ramp) + 1) / (len(ramp) + 1)
    np.testing.assert_allclose(ramp, steps)


def test_tiles_that_disagree_leave_no_seam():
    """Two tiles, one all zeros and one all ones: equal steps over the whole ramp."""
    x = jnp.concatenate([jnp.zeros((1, 5, 1, 1, 1)), jnp.ones((1, 7, 1, 1, 1))], axis=1)
    one = Blend.of([0], 1, 0, before=0, after=0)
    blends = [Blend.of([0, 4], 8, 4, before=0, after=1), one, one]
    level = lambda piece, _: jnp.full_like(piece, piece[0, 1, 0, 0, 0])
    pieces = [([0, 4], 8), ([0], 1), ([0], 1)]
    found = blended(level, x, pieces, blends, (12, 1, 1, 1)).ravel()
    want = [0] * 4 + [0.25, 0.5, 0.75] + [1] * 5
    np.testing.assert_allclose(found, want, atol=1e-6)


def test_one_tile_is_not_blended():
    x = example()
    seen = []
    blends = [Blend.of([0], n, 2, before=0, after=0) for n in SHAPE]
    pieces = [([0], n) for n in SHAPE]
    found = blended(lambda x, _: seen.append(x) or x, x, pieces, blends, (*SHAPE, 2))
    assert found is x
    assert seen[0] is x
