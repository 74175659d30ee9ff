import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_config import PROBE, VAE_090, VAE_091, VAE_095, VAEConfig
from aw_jax.models.ltx.vae_reach import reach

FOLDED = VAEConfig(
    latent_channels=4,
    patch=2,
    encoder_widths=(8, 16),
    encoder_blocks=(1, 0),
    encoder_strides=((2, 2, 2),),
    decoder_widths=(16, 8),
    decoder_blocks=(0, 1),
    decoder_strides=((2, 2, 2),),
)
STRIDED = VAEConfig(
    latent_channels=4,
    patch=2,
    encoder_widths=(4, 8, 8),
    encoder_blocks=(0, 0, 0),
    encoder_strides=((2, 2, 2), (1, 1, 1)),
    decoder_widths=(8, 8, 4),
    decoder_blocks=(0, 0, 0),
    decoder_strides=((1, 1, 1), (2, 2, 2)),
    downsampling="stride",
    upsampling="plain",
    timestep_conditioning=False,
)


def influence(run, shape, at):
    """Where the input changes the result at `at` (frame, row, column): 3 slices."""
    x = jax.random.normal(jax.random.key(1), (1, *shape, 3))
    gradient = jax.jit(jax.grad(lambda x: run(x)[(0, *at)].sum()))(x)
    places = np.nonzero(np.abs(gradient[0]).sum(-1))
    return [(axis.min(), axis.max()) for axis in places]


@pytest.mark.parametrize("config", [FOLDED, STRIDED], ids=["fold", "stride"])
def test_a_latent_does_not_depend_on_what_lies_further_than_the_encoders_reach(config):
    vae = VideoVAE(config, rngs=nnx.Rngs(0))
    time, space = reach(config, "encoder")
    late, middle = time + 2, space + 2
    shape = (1 + 2 * (late + 2), 4 * (2 * middle + 1), 8)
    (first, last), (top, bottom), _ = influence(
        vae.encode, shape, (late, middle, slice(None))
    )
    # A tile starts with frame 2 i: no frame before it counts, and the bound is near.
    assert 2 * (late - time) <= first <= 2 * (late - time + 1) + 1
    assert last == 2 * late
    assert 4 * (middle - space) <= top < 4 * (middle - space + 1)
    assert 4 * (middle + space) <= bottom + 4
    assert bottom < 4 * (middle + space + 1)


@pytest.mark.parametrize("config", [FOLDED, STRIDED], ids=["fold", "stride"])
def test_a_pixel_does_not_depend_on_what_lies_further_than_the_decoders_reach(config):
    vae = VideoVAE(config, rngs=nnx.Rngs(0))
    time, space = reach(config, "decoder")
    late, middle = time + 2, space + 2
    shape = (late + time + 3, 2 * middle + 1, 2)

    def run(x):
        return vae.decode(jnp.pad(x, [(0, 0)] * 4 + [(0, 1)]), timestep=0.3)

    # Every frame and row of one group of two frames and four rows.
    at = (slice(2 * late - 1, 2 * late + 1), slice(4 * middle, 4 * middle + 4))
    (first, last), (top, bottom), _ = influence(run, shape, at)
    assert (first, last) == (late - time, late + time)
    assert (top, bottom) == (middle - space, middle + space)


@pytest.mark.parametrize(
    ("config", "encoder", "decoder"),
    [
        (VAE_090, (47, 23), (24, 24)),
        (VAE_091, (47, 23), (31, 31)),
        (VAE_095, (29, 16), (22, 22)),
        (PROBE, (14, 7), (7, 7)),
    ],
)
def test_full_size_networks_see_as_far_as_documented(config, encoder, decoder):
    assert reach(config, "encoder") == encoder
    assert reach(config, "decoder") == decoder
