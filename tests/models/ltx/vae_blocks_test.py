import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.models.ltx import vae_blocks as blocks


def counted(shape):
    return jnp.arange(np.prod(shape), dtype=jnp.float32).reshape(shape)


def test_patches_are_ordered_channel_column_row():
    video = counted((1, 2, 4, 6, 3))
    found = blocks.patchify(video, 2)
    assert found.shape == (1, 2, 2, 3, 12)
    for c, x, y in np.ndindex(3, 2, 2):
        np.testing.assert_array_equal(
            found[..., (c * 2 + x) * 2 + y], video[:, :, y::2, x::2, c]
        )


def test_folded_channels_are_ordered_channel_time_row_column():
    x = counted((1, 4, 4, 6, 3))
    found = blocks.fold(x, (2, 2, 2))
    assert found.shape == (1, 2, 2, 3, 24)
    for c, t, i, j in np.ndindex(3, 2, 2, 2):
        channel = ((c * 2 + t) * 2 + i) * 2 + j
        np.testing.assert_array_equal(found[..., channel], x[:, t::2, i::2, j::2, c])


@pytest.mark.parametrize("stride", [(2, 2, 2), (2, 1, 1), (1, 2, 2)])
def test_unfolding_undoes_folding(stride):
    x = counted((1, 4, 4, 6, 3))
    np.testing.assert_array_equal(blocks.unfold(blocks.fold(x, stride), stride), x)


def test_unpatchify_undoes_patchify():
    video = counted((1, 2, 4, 6, 3))
    found = blocks.unpatchify(blocks.patchify(video, 2), 2)
    np.testing.assert_array_equal(found, video)


def test_a_downsample_without_weights_averages_adjacent_folded_channels():
    layer = blocks.Downsample(4, 8, (2, 1, 1), rngs=nnx.Rngs(0))
    layer.conv.kernel[...] = jnp.zeros_like(layer.conv.kernel[...])
    x = counted((1, 5, 2, 2, 4))
    doubled = jnp.concatenate([x[:, :1], x], axis=1)
    want = blocks.fold(doubled, (2, 1, 1))
    np.testing.assert_allclose(layer(x), want)
    halved = blocks.Downsample(4, 4, (2, 1, 1), rngs=nnx.Rngs(0))
    halved.conv.kernel[...] = jnp.zeros_like(halved.conv.kernel[...])
    np.testing.assert_allclose(halved(x), (want[..., ::2] + want[..., 1::2]) / 2)


def test_an_upsample_without_weights_tiles_unfolded_channels():
    layer = blocks.Upsample(8, 4, (2, 2, 2), rngs=nnx.Rngs(0))
    layer.conv.kernel[...] = jnp.zeros_like(layer.conv.kernel[...])
    x = counted((1, 3, 2, 2, 8))
    want = jnp.tile(blocks.unfold(x, (2, 2, 2)), 4)[:, 1:]
    np.testing.assert_allclose(layer(x), want)


def test_a_timed_block_is_shifted_and_scaled_by_table_plus_embedding():
    timed = blocks.TimedResBlock(4, rngs=nnx.Rngs(0))
    x, rows = counted((2, 3, 2, 2, 4)), counted((4, 4)) / 10
    timed.table[...] = rows
    embedding = counted((2, 16)) / 7
    shift1, scale1, shift2, scale2 = (
        (rows[i] + embedding[:, 4 * i : 4 * i + 4])[:, None, None, None]
        for i in range(4)
    )
    want = timed.block(x, (shift1, scale1), (shift2, scale2))
    np.testing.assert_allclose(timed(x, embedding), want, atol=1e-6)
