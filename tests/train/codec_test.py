"""The channel statistics that a codec is stored with."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.models.ltx import vae_config
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.nn.initialize import initialized
from aw_jax.train.codec import measure_statistics

VAE = dataclasses.replace(
    vae_config.PROBE,
    encoder_widths=(8, 16),
    encoder_blocks=(0, 0),
    encoder_strides=((2, 2, 2),),
    decoder_widths=(16, 8),
    decoder_blocks=(0, 0),
    decoder_strides=((2, 2, 2),),
)


@pytest.fixture(scope="module")
def fresh():
    return initialized(lambda: VideoVAE(VAE, rngs=nnx.Rngs(0)))


@pytest.fixture(scope="module")
def videos():
    return [np.random.default_rng(0).random((2, 9, 32, 32, 3), np.float32)]


def deviations(vae, videos):
    z = np.concatenate([np.asarray(vae.encode(jnp.asarray(video))) for video in videos])
    return z.reshape(-1, z.shape[-1]).std(axis=0)


def test_full_whitening_gives_every_channel_unit_variance(fresh, videos):
    vae = measure_statistics(fresh, videos)
    np.testing.assert_allclose(deviations(vae, videos), 1, rtol=1e-3)


def test_no_whitening_is_one_scale_with_unit_variance_on_average(fresh, videos):
    measured = deviations(measure_statistics(fresh, videos), videos)
    vae = measure_statistics(fresh, videos, whitening=0.0)
    scale = np.asarray(vae.latents_std[...])
    np.testing.assert_allclose(scale, scale[0], rtol=1e-6)
    found = deviations(vae, videos)
    assert np.mean(found**2) == pytest.approx(1, rel=1e-3)
    assert found.max() / found.min() > 1.05 * measured.max() / measured.min()


def test_half_whitening_leaves_the_root_of_the_deviations(fresh, videos):
    none, half = (
        deviations(measure_statistics(fresh, videos, whitening=w), videos)
        for w in (0.0, 0.5)
    )
    ratio = half / np.sqrt(none)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


def test_without_videos_there_is_a_clear_error(fresh):
    with pytest.raises(ValueError, match="at least one batch"):
        measure_statistics(fresh, [])
