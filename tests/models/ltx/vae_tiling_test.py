"""Tiles beside the whole. Random weights see as far as they can: the worst case."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import aw_jax
from aw_jax.core.errors import UserError
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_config import VAEConfig
from aw_jax.models.ltx.vae_files import load_vae
from aw_jax.models.ltx.vae_reach import reach
from aw_jax.models.ltx.vae_tiling import Tiling, decode_tiled, encode_tiled

FOLDED = VAEConfig(
    latent_channels=4,
    patch=2,
    encoder_widths=(8, 16),
    encoder_blocks=(0, 0),
    encoder_strides=((2, 2, 2),),
    decoder_widths=(16, 8),
    decoder_blocks=(0, 0),
    decoder_strides=((2, 2, 2),),
)
STRIDED = dataclasses.replace(
    FOLDED,
    encoder_widths=(8, 8),
    decoder_widths=(8, 8),
    downsampling="stride",
    upsampling="plain",
)
CONFIGS = {"fold": FOLDED, "plain": STRIDED}
LATENTS = (13, 13, 11)
EXACT = Tiling(tile=(9, 8, 7), overlap=(6, 6, 6), margin=(3, 3, 3))
NONE = (0, 0, 0)
SHIPPED = Path(aw_jax.__file__).parent / "restoration/ltx_tiny/vae.safetensors"


def vae_of(config):
    vae = VideoVAE(config, rngs=nnx.Rngs(0))
    vae.decoder.conv_in.bias[...] += 0.5  # zero padding must not look like a latent
    vae.latents_std[...] = jnp.asarray([0.5, 1.0, 2.0, 3.0])
    return vae


def inputs():
    f, h, w = LATENTS
    video = jax.random.uniform(jax.random.key(1), (1, 2 * f - 1, 4 * h, 4 * w, 3))
    return video, jax.random.normal(jax.random.key(2), (1, f, h, w, 4))


def encoded(vae, video, tiling):
    return jax.jit(lambda x: encode_tiled(vae, x, tiling))(video)


def decoded(vae, latents, tiling):
    return jax.jit(lambda z: decode_tiled(vae, z, tiling, timestep=0.3))(latents)


def whole(vae, video, latents):
    decode = lambda z: vae.decode(z, timestep=0.3)
    return jax.jit(vae.encode)(video), jax.jit(decode)(latents)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_tiles_equal_the_whole_where_their_margin_is_the_reach(config):
    vae, (video, latents) = vae_of(config), inputs()
    codes, pixels = whole(vae, video, latents)
    assert reach(config, "decoder") <= (3, 3)
    np.testing.assert_allclose(decoded(vae, latents, EXACT), pixels, atol=1e-5)
    time, space = reach(config, "encoder")
    assert (time, space) <= (6, 3)
    causal = dataclasses.replace(EXACT, margin=(time, 3, 3))
    np.testing.assert_allclose(encoded(vae, video, causal), codes, atol=1e-5)


def inside(starts, size, reach_before, reach_after):
    """Places that one tile alone gives and that none of its inner edges reaches."""
    last = starts[-1] + size
    owners = np.zeros(last, int)
    good = np.ones(last, bool)
    for i, start in enumerate(starts):
        owners[start : start + size] += 1
        if i:
            good[start : start + reach_before] = False
        if i + 1 < len(starts):
            good[start + size - reach_after : start + size] = False
    return np.nonzero(good & (owners == 1))[0]


def test_rough_tiles_equal_the_whole_inside_and_come_near_it_where_they_meet():
    """Mean differences, over the spread of the whole: found 0.14 and 0.09."""
    vae, (video, latents) = vae_of(FOLDED), inputs()
    codes, pixels = whole(vae, video, latents)
    tiling = Tiling(tile=(9, 9, 9), overlap=(1, 2, 2), margin=NONE)
    found = encoded(vae, video, tiling)
    time, space = reach(FOLDED, "encoder")
    frames = inside([0, 4], 9, time, 0)
    rows, columns = inside([0, 4], 9, space, space), inside([0, 2], 9, space, space)
    assert min(map(len, (frames, rows, columns))) > 0
    at = np.ix_([0], frames, rows, columns, range(4))
    np.testing.assert_allclose(found[at], codes[at], atol=1e-5)
    off = np.abs(found - codes)
    assert off.max() > 1e-2  # the tiles do miss something where they meet
    assert off.mean() < 0.2 * codes.std()
    tiling = Tiling(tile=(8, 8, 8), overlap=(4, 4, 4), margin=NONE)
    off = np.abs(decoded(vae, latents, tiling) - pixels)
    assert off.max() > 1e-2
    assert off.mean() < 0.12 * pixels.std()


def test_the_first_tiles_frames_are_those_of_the_causal_whole():
    vae, (video, _) = vae_of(FOLDED), inputs()
    codes = jax.jit(vae.encode)(video[:, :9])
    tiling = Tiling(tile=(6, 13, 13), overlap=(1, 2, 2), margin=NONE)
    found = encoded(vae, video, tiling)
    np.testing.assert_allclose(found[:, :5], codes, atol=1e-5)


def test_the_shipped_autoencoder_is_the_same_in_tiles():
    """It hardly looks past a latent's own group, so the default margin is enough."""
    vae = load_vae(SHIPPED)
    video = jax.random.uniform(jax.random.key(0), (1, 33, 64, 56, 3))
    tiling = dataclasses.replace(Tiling(), tile=(4, 6, 7))
    codes = jax.jit(vae.encode)(video)
    np.testing.assert_allclose(encoded(vae, video, tiling), codes, atol=1e-4)


def test_noise_inside_the_decoder_is_that_of_the_whole():
    """Both of its stages draw, at a latent's scale and at twice that."""
    config = dataclasses.replace(
        FOLDED, decoder_blocks=(1, 1), decoder_noise=(True, True)
    )
    vae = vae_of(config)
    for stage in vae.decoder.stages:
        block = stage.blocks[0].block
        block.noise1[...], block.noise2[...] = (
            block.noise1[...] + 1,
            block.noise2[...] - 2,
        )
    latents = jax.random.normal(jax.random.key(2), (1, 1, 18, 20, 4))
    tiling = Tiling(tile=(2, 16, 15), overlap=(1, 12, 12), margin=(0, 6, 6))
    assert reach(config, "decoder")[1] == 6
    key = jax.random.key(3)
    tiled = jax.jit(lambda z: decode_tiled(vae, z, tiling, key=key))(latents)
    want = jax.jit(lambda z: vae.decode(z, key=key))(latents)
    np.testing.assert_allclose(tiled, want, atol=1e-5)
    silent = jax.jit(vae.decode)(latents)
    assert jnp.abs(want - silent).mean() > 0.1


def test_images_are_tiled_in_space_alone():
    vae, (video, latents) = vae_of(FOLDED), inputs()
    codes, pixels = whole(vae, video[:, :1], latents[:, :1])
    found = encoded(vae, video[:, :1], EXACT)
    np.testing.assert_allclose(found, codes, atol=1e-5)
    found = decoded(vae, latents[:, :1], EXACT)
    np.testing.assert_allclose(found, pixels, atol=1e-5)


def test_a_tile_that_holds_everything_changes_nothing():
    vae, (video, latents) = vae_of(FOLDED), inputs()
    codes, pixels = whole(vae, video, latents)
    large = Tiling(tile=(99, 99, 99), overlap=(50, 50, 50))
    np.testing.assert_array_equal(encoded(vae, video, large), codes)
    np.testing.assert_array_equal(decoded(vae, latents, large), pixels)


def temporary_bytes(run, x):
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return jax.jit(run).lower(shape).compile().memory_analysis().temp_size_in_bytes


def test_tiles_need_a_fraction_of_the_memory():
    vae, (video, latents) = vae_of(FOLDED), inputs()
    tiling = Tiling(tile=(4, 4, 4), overlap=(1, 1, 1), margin=NONE)
    tiled = temporary_bytes(lambda x: encode_tiled(vae, x, tiling), video)
    assert tiled < 0.25 * temporary_bytes(vae.encode, video)
    tiled = temporary_bytes(lambda z: decode_tiled(vae, z, tiling), latents)
    assert tiled < 0.25 * temporary_bytes(vae.decode, latents)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"overlap": (0, 4, 4)}, "overlap must be at least 1 and below the tile of 8"),
        ({"overlap": (2, 16, 4)}, "below the tile of 16 along axis 1, got 16"),
        ({"margin": (0, 5, 0)}, "margin must be at most the overlap of 4"),
    ],
)
def test_tilings_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        Tiling(**fields)


def test_margins_that_leave_no_place_between_two_tiles_are_refused():
    vae, (video, latents) = vae_of(FOLDED), inputs()
    with pytest.raises(UserError, match="at most half the overlap of 4 along axis 2"):
        encode_tiled(vae, video, Tiling(margin=(0, 0, 3)))
    with pytest.raises(UserError, match="at most half the overlap of 3 along axis 0"):
        decode_tiled(vae, latents, Tiling(margin=(2, 0, 0)))


def test_videos_that_do_not_fit_the_strides_are_refused():
    with pytest.raises(UserError, match=r"2 n \+ 1 frames, got 4"):
        encode_tiled(vae_of(FOLDED), jnp.zeros((1, 4, 8, 8, 3)), Tiling())
