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


def influences(run, x, at, changes):
    """Whether the result at `at` moves when all of `x` but a box is drawn anew."""
    run = jax.jit(run)
    before, other = run(x)[at], jax.random.uniform(jax.random.key(2), x.shape)
    for box in changes:
        kept = other.at[box].set(x[box])
        yield bool(jnp.abs(run(kept)[at] - before).max() > 1e-6)


@pytest.mark.parametrize("config", [FOLDED, STRIDED], ids=["fold", "stride"])
def test_a_latent_is_made_of_what_lies_within_the_encoders_reach(config):
    """A tile that starts with latent i starts with frame 2 i and row 4 i."""
    vae = VideoVAE(config, rngs=nnx.Rngs(0))
    time, space = reach(config, "encoder")
    late, middle = time + 2, space + 1
    shape = (1, 1 + 2 * (late + 2), 4 * (2 * middle + 1), 8, 3)
    x = jax.random.uniform(jax.random.key(1), shape)
    frames = lambda n: slice(2 * (late - n), 2 * late + 1)
    rows = lambda n: slice(4 * (middle - n), 4 * (middle + n + 1))
    boxes = [
        np.s_[:, frames(time), rows(space)],
        np.s_[:, frames(time - 1), rows(space)],
        np.s_[:, frames(time), rows(space - 1)],
    ]
    found = influences(vae.encode, x, np.s_[:, late, middle], boxes)
    assert list(found) == [False, True, True]


@pytest.mark.parametrize("config", [FOLDED, STRIDED], ids=["fold", "stride"])
def test_pixels_are_made_of_what_lies_within_the_decoders_reach(config):
    vae = VideoVAE(config, rngs=nnx.Rngs(0))
    time, space = reach(config, "decoder")
    late, middle = time + 2, space + 1
    shape = (1, late + time + 3, 2 * middle + 1, 2, 4)
    x = jax.random.uniform(jax.random.key(1), shape)
    around = lambda at, n: slice(at - n, at + n + 1)
    boxes = [
        np.s_[:, around(late, time), around(middle, space)],
        np.s_[:, around(late, time - 1), around(middle, space)],
        np.s_[:, around(late, time), around(middle, space - 1)],
    ]
    at = np.s_[:, 2 * late - 1 : 2 * late + 1, 4 * middle : 4 * middle + 4]
    run = lambda z: vae.decode(z, timestep=0.3)
    assert list(influences(run, x, at, boxes)) == [False, True, True]


@pytest.mark.parametrize(
    ("config", "encoder", "decoder"),
    [
        (VAE_090, (46, 23), (24, 24)),
        (VAE_091, (46, 23), (31, 31)),
        (VAE_095, (29, 16), (22, 22)),
        (PROBE, (14, 7), (7, 7)),
    ],
)
def test_full_size_networks_see_as_far_as_documented(config, encoder, decoder):
    assert reach(config, "encoder") == encoder
    assert reach(config, "decoder") == decoder
