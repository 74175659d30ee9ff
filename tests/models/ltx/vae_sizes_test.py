import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.models.ltx import vae_sizes
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_config import TINY, VAE_095, VAEConfig

SMALL = VAEConfig(
    latent_channels=4,
    patch=2,
    encoder_widths=(8, 16),
    encoder_blocks=(0, 0),
    encoder_strides=((2, 2, 2),),
    decoder_widths=(16, 8),
    decoder_blocks=(0, 0),
    decoder_strides=((2, 2, 2),),
)


@pytest.fixture(scope="module")
def coders():
    vae = VideoVAE(SMALL, rngs=nnx.Rngs(0))
    return jax.jit(vae.encode), jax.jit(vae.decode)


@pytest.mark.parametrize(
    ("config", "size", "fitting"),
    [
        (VAE_095, (1, 32, 64), (1, 32, 64)),
        (VAE_095, (2, 33, 1), (9, 64, 32)),
        (VAE_095, (121, 512, 768), (121, 512, 768)),
        (VAE_095, (120, 500, 700), (121, 512, 704)),
        (TINY, (10, 9, 16), (17, 16, 16)),
    ],
)
def test_the_fitting_size_is_the_next_one_that_the_strides_allow(config, size, fitting):
    assert vae_sizes.fitting_size(config, size) == fitting


@pytest.mark.parametrize("size", [(4, 7, 9), (1, 3, 5), (5, 8, 12)])
def test_a_video_of_any_size_comes_back_in_that_size(coders, size):
    encode, decode = coders
    video = jax.random.uniform(jax.random.key(0), (2, *size, 3))
    padded = vae_sizes.pad(SMALL, video)
    np.testing.assert_array_equal(vae_sizes.crop(padded, size), video)
    decoded = vae_sizes.crop(decode(encode(padded)), size)
    assert decoded.shape == video.shape


def test_the_last_frame_row_and_column_fill_up():
    video = jax.random.uniform(jax.random.key(0), (1, 4, 7, 9, 3))
    padded = vae_sizes.pad(SMALL, video)
    assert padded.shape == (1, 5, 8, 12, 3)
    np.testing.assert_array_equal(padded[:, 4], padded[:, 3])
    np.testing.assert_array_equal(padded[:, :, 7], padded[:, :, 6])
    for column in range(9, 12):
        np.testing.assert_array_equal(padded[..., column, :], padded[..., 8, :])


def test_a_video_that_fits_is_not_touched():
    video = jnp.zeros((1, 5, 8, 12, 3))
    assert vae_sizes.pad(SMALL, video) is video


def test_frames_added_do_not_touch_the_latents_of_whole_groups_before_them(coders):
    encode, _ = coders
    video = jax.random.uniform(jax.random.key(0), (1, 4, 8, 12, 3))
    found = encode(vae_sizes.pad(SMALL, video))
    assert found.shape[1] == 3
    np.testing.assert_allclose(found[:, :2], encode(video[:, :3]), atol=1e-6)
