"""The autoencoder beside diffusers' (tests/golden/ltx_vae.json) and its own laws."""

import json
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.core.errors import UserError
from aw_jax.models.ltx.vae_config import PROBE
from aw_jax.models.ltx.vae_weights import (
    abstract_vae,
    ours_from_upstream,
    tensor_names,
    upstream_from_ours,
)

GOLDEN = Path(__file__).parents[2] / "golden/ltx_vae"
PROVENANCE = json.loads(GOLDEN.with_suffix(".json").read_text())
ATOL = PROVENANCE["tolerance"]


def draw(name, shape):
    """As scripts/goldens/ltx_vae.py draws it."""
    rng = np.random.default_rng([PROVENANCE["seed"], zlib.crc32(name.encode())])
    if name.startswith("video"):
        return rng.random(shape, dtype=np.float32)
    if name.endswith("timestep_scale_multiplier"):
        return np.asarray(1000, np.float32)
    values = rng.standard_normal(shape, dtype=np.float32)
    if name == "latents_std":
        return 0.5 + np.abs(values)
    fan = np.prod(shape[1:]) if name.endswith("weight") else 16
    return (values / np.sqrt(fan)).astype(np.float32)


def drawn_vae():
    graphdef, state = abstract_vae(PROBE)
    leaves, arrays = dict(nnx.to_flat_state(state)), {}
    for name, at in tensor_names(PROBE, "diffusers").items():
        axes = upstream_from_ours(np.empty(leaves[at].shape), at).shape
        array = ours_from_upstream(draw(name, axes), at)
        arrays[at] = leaves[at].replace(jnp.asarray(array))
    return nnx.merge(graphdef, nnx.from_flat_state(arrays))


@pytest.fixture(scope="module")
def vae():
    return drawn_vae()


@pytest.fixture(scope="module")
def coders(vae):
    """Encoding, the log-variance and decoding, compiled once for each shape."""
    graphdef, state = nnx.split(vae)
    model = lambda: nnx.merge(graphdef, state)
    encode = jax.jit(lambda x: (model().encode(x), model().moments(x)[1]))
    decode = jax.jit(lambda z, t: model().decode(z, timestep=t))
    return encode, decode


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN.with_suffix(".npz")) as file:
        return dict(file)


@pytest.mark.parametrize("frames", [1, 9, 17])
def test_encoder_and_decoder_equal_those_of_diffusers(coders, golden, frames):
    encode, decode = coders
    batch = 2 if frames == 9 else 1
    video = jnp.asarray(draw(f"video{frames}", (batch, frames, 64, 96, 3)))
    latents, log_variance = encode(video)
    want = {k.split("/")[1]: v for k, v in golden.items() if k.startswith(f"{frames}/")}
    np.testing.assert_allclose(latents, want["latents"], atol=ATOL)
    np.testing.assert_allclose(log_variance, want["log_variance"], atol=ATOL)
    timesteps = jnp.asarray([0.05, 0.4][:batch])
    found = np.asarray(decode(jnp.asarray(want["latents"]), timesteps), np.float64)
    assert found.shape == video.shape
    axes = (2, 3, 4)
    some = found[:, ::4, ::7, ::7]
    np.testing.assert_allclose(some, want["decoded_some"], atol=ATOL)
    np.testing.assert_allclose(found.mean(axes), want["decoded_mean"], atol=ATOL)
    norm = np.sqrt(np.square(found).sum(axes))
    np.testing.assert_allclose(norm, want["decoded_norm"], rtol=ATOL)


@pytest.mark.parametrize("frames", [1, 9])
def test_a_prefix_of_a_video_encodes_to_a_prefix_of_its_latents(coders, frames):
    encode, _ = coders
    video = jnp.asarray(draw("video17", (1, 17, 64, 96, 3)))
    whole, _ = encode(video)
    prefix, _ = encode(video[:, :frames])
    # Not exact: the compiler sums in another order for another number of frames.
    np.testing.assert_allclose(prefix, whole[:, : 1 + frames // 8], atol=ATOL)


def test_normalised_latents_are_those_of_the_statistics(vae):
    z = jnp.asarray(draw("latents", (2, 3, 8)))
    normalised = vae.normalise(z)
    want = (z - vae.latents_mean[...]) / vae.latents_std[...]
    np.testing.assert_allclose(normalised, want, atol=1e-6)
    np.testing.assert_allclose(vae.restore(normalised), z, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 16, 64, 64, 3), r"8 n \+ 1 frames, got 16: use 9"),
        ((1, 9, 64, 80, 3), "multiples of 32 pixels, got 64 x 80"),
    ],
)
def test_videos_that_do_not_fit_the_strides_are_refused(vae, shape, message):
    with pytest.raises(UserError, match=message):
        vae.encode(jnp.zeros(shape))


def test_only_statistics_and_the_scale_of_timesteps_are_not_trained():
    leaves = nnx.to_flat_state(abstract_vae(PROBE)[1])
    fixed = [at for at, leaf in leaves if not isinstance(leaf, nnx.Param)]
    assert sorted(fixed) == [
        ("decoder", "timestep_scale"),
        ("latents_mean",),
        ("latents_std",),
    ]
