import jax
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


def test_a_block_that_changes_width_takes_the_normed_product_past_it():
    block = blocks.ResBlock(4, outputs=6, causal=True, rngs=nnx.Rngs(0))
    block.conv2.kernel[...] = jnp.zeros_like(block.conv2.kernel[...])
    block.shortcut.weight[...] = jnp.asarray([1.0, 2.0, 3.0, 4.0])
    block.shortcut.bias[...] = jnp.asarray([0.5, 0.0, -1.0, 2.0])
    x = jax.random.normal(jax.random.key(0), (1, 3, 2, 2, 4))
    spread = jnp.sqrt(x.var(-1, keepdims=True) + 1e-6)
    normed = (x - x.mean(-1, keepdims=True)) / spread
    gained = normed * block.shortcut.weight[...] + block.shortcut.bias[...]
    want = gained @ block.shortcut.conv.kernel[...][0, 0, 0]
    np.testing.assert_allclose(block(x), want, atol=1e-5)


def test_noise_has_the_learnt_scale_of_each_channel_and_is_one_for_all_frames():
    block = blocks.ResBlock(4, causal=False, rngs=nnx.Rngs(0), noise=True)
    block.noise2[...] = scale = jnp.asarray([0.0, 1.0, -2.0, 3.0])
    x = jnp.zeros((2, 3, 40, 50, 4))
    added = block(x, key=jax.random.key(1)) - block(x)
    # 2,000 normals: the standard deviation is known to 1.6 %.
    np.testing.assert_allclose(added[0, 0].std((0, 1)), jnp.abs(scale), rtol=0.05)
    np.testing.assert_allclose(added, jnp.broadcast_to(added[0, 0], x.shape), atol=1e-6)
    np.testing.assert_allclose(added[..., 3], -1.5 * added[..., 2], atol=1e-5)


def test_noise_is_added_between_the_convolutions_too():
    block = blocks.ResBlock(4, causal=False, rngs=nnx.Rngs(0), noise=True)
    block.noise1[...] = jnp.asarray([0.0, 1.0, -2.0, 3.0])
    block.conv1.kernel[...] = jnp.zeros_like(block.conv1.kernel[...])
    x = jnp.zeros((1, 3, 4, 5, 4))
    key = jax.random.key(1)
    drawn = jax.random.normal(jax.random.fold_in(key, 0), (4, 5, 1))
    between = jnp.broadcast_to(drawn * block.noise1[...], x.shape)
    want = block.conv2(blocks.activate(between))
    np.testing.assert_allclose(block(x, key=key), want, atol=1e-5)


def test_a_strided_downsample_keeps_the_first_frame_and_widens():
    layer = blocks.StridedDownsample(4, 6, (2, 2, 2), rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (1, 5, 4, 6, 4))
    assert layer(x).shape == (1, 3, 2, 3, 6)
    np.testing.assert_allclose(layer(x)[:, :1], layer(x[:, :1]), atol=1e-6)


def test_a_plain_upsample_unfolds_its_convolution_and_adds_nothing():
    layer = blocks.PlainUpsample(4, 4, (2, 2, 2), rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (1, 3, 2, 3, 4))
    want = blocks.unfold(layer.conv(x), (2, 2, 2))[:, 1:]
    np.testing.assert_array_equal(layer(x), want)


@pytest.mark.parametrize("kind", [blocks.StridedDownsample, blocks.PlainUpsample])
def test_nothing_stands_between_stages_of_one_width_and_stride_one(kind):
    layer = kind(4, 4, (1, 1, 1), rngs=nnx.Rngs(0))
    assert not nnx.to_flat_state(nnx.state(layer))
    x = counted((1, 3, 2, 2, 4))
    np.testing.assert_array_equal(layer(x), x)
