"""The autoencoder beside diffusers' (tests/golden/ltx_vae.json) and its own laws.

Inside noise is off here; tests/parity draws it alike on both sides.
"""

import dataclasses
import functools
import json
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.core.errors import UserError
from aw_jax.models.ltx.vae_config import PROBE, PROBE_090, PROBE_091
from aw_jax.models.ltx.vae_weights import (
    abstract_vae,
    ours_from_upstream,
    tensor_names,
    upstream_from_ours,
)

GOLDEN = Path(__file__).parents[2] / "golden/ltx_vae"
PROVENANCE = json.loads(GOLDEN.with_suffix(".json").read_text())
ATOL = PROVENANCE["tolerance"]
PROBES = {"0.9.0": PROBE_090, "0.9.1": PROBE_091, "0.9.5": PROBE}


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
    if not name.endswith(("weight", "bias", "table", "mean")):
        return values
    fan = np.prod(shape[1:]) if name.endswith("weight") else 16
    return (values / np.sqrt(fan)).astype(np.float32)


@functools.cache
def drawn_vae(layout="0.9.5"):
    config = PROBES[layout]
    graphdef, state = abstract_vae(config)
    leaves, arrays = dict(nnx.to_flat_state(state)), {}
    for name, at in tensor_names(config, "diffusers").items():
        axes = upstream_from_ours(np.empty(leaves[at].shape), at).shape
        array = ours_from_upstream(draw(name, axes), at)
        arrays[at] = leaves[at].replace(jnp.asarray(array))
    return nnx.merge(graphdef, nnx.from_flat_state(arrays))


@functools.cache
def coders(layout="0.9.5"):
    """Encoding, the log-variance and decoding, compiled once for each shape."""
    graphdef, state = nnx.split(drawn_vae(layout))
    model = lambda: nnx.merge(graphdef, state)
    encode = jax.jit(lambda x: (model().encode(x), model().moments(x)[1]))
    decode = jax.jit(lambda z, t, key=None: model().decode(z, timestep=t, key=key))
    return encode, decode


@pytest.fixture(scope="module")
def vae():
    return drawn_vae()


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN.with_suffix(".npz")) as file:
        return dict(file)


def inputs(frames):
    batch = 2 if frames == 9 else 1
    latents = draw(f"latents{frames}", (batch, 1 + frames // 8, 2, 3, 8))
    timesteps = PROVENANCE["timesteps"][:batch]
    video = draw(f"video{frames}", (batch, frames, 64, 96, 3))
    return map(jnp.asarray, (video, latents, timesteps))


def assert_close(found, golden, name):
    found = np.asarray(found, np.float64)
    steps = np.s_[:, ::4, ::7, ::7] if "decoded" in name else np.s_[:, :, ::2, ::2, ::3]
    np.testing.assert_allclose(found[steps], golden[f"{name}_some"], atol=ATOL)
    mean, norm = found.mean((2, 3, 4)), np.sqrt(np.square(found).sum((2, 3, 4)))
    np.testing.assert_allclose(mean, golden[f"{name}_mean"], atol=ATOL)
    np.testing.assert_allclose(norm, golden[f"{name}_norm"], rtol=ATOL)


@pytest.mark.parametrize(
    ("layout", "frames"),
    [("0.9.0", 9), ("0.9.1", 9), ("0.9.5", 1), ("0.9.5", 9), ("0.9.5", 17)],
)
def test_encoder_and_decoder_equal_those_of_diffusers(golden, layout, frames):
    encode, decode = coders(layout)
    video, latents, timesteps = inputs(frames)
    found, log_variance = encode(video)
    assert_close(found, golden, f"{layout}/{frames}/latents")
    assert_close(log_variance, golden, f"{layout}/{frames}/log_variance")
    decoded = decode(latents, timesteps)
    assert decoded.shape == video.shape
    assert_close(decoded, golden, f"{layout}/{frames}/decoded")


@pytest.mark.parametrize(
    ("layout", "frames"), [("0.9.5", 1), ("0.9.5", 9), ("0.9.1", 1)]
)
def test_a_prefix_of_a_video_encodes_to_a_prefix_of_its_latents(layout, frames):
    encode, _ = coders(layout)
    video, *_ = inputs(17 if layout == "0.9.5" else 9)
    whole, _ = encode(video)
    prefix, _ = encode(video[:, :frames])
    # Not exact: the compiler sums in another order for another number of frames.
    np.testing.assert_allclose(prefix, whole[:, : 1 + frames // 8], atol=ATOL)


def test_only_a_key_switches_the_noise_inside_the_decoder_on():
    _, decode = coders("0.9.1")
    _, latents, timesteps = inputs(9)
    silent = decode(latents, timesteps)
    noisy, other = (decode(latents, timesteps, jax.random.key(i)) for i in (0, 1))
    assert np.abs(noisy - other).max() > 0.1
    assert np.abs(noisy - silent).max() > 0.1


def test_the_timestep_changes_what_is_decoded_but_not_in_layout_0_9_0():
    _, latents, timesteps = inputs(9)
    for layout, listens in (("0.9.0", False), ("0.9.1", True), ("0.9.5", True)):
        _, decode = coders(layout)
        moved = np.abs(decode(latents, timesteps) - decode(latents, 1 - timesteps))
        assert (moved.max() > 1e-3) == listens, layout


@pytest.mark.parametrize("space", ["normalised", "raw"])
def test_noise_is_mixed_into_the_latents_of_the_configured_space(vae, space):
    """Lightricks mixes before un-normalising, diffusers after it."""
    graphdef, state = nnx.split(vae)
    model = nnx.merge(graphdef, state)
    model.config = dataclasses.replace(vae.config, decode_noise_space=space)
    latents = jnp.asarray(draw("latents9", (2, 2, 2, 3, 8)))
    key = jax.random.key(3)
    noise = jax.random.normal(key, latents.shape)
    mean, std = vae.latents_mean[...], vae.latents_std[...]
    if space == "normalised":
        want = (0.7 * latents + 0.3 * noise) * std + mean
    else:
        want = 0.7 * (latents * std + mean) + 0.3 * noise
    found = model.restore(model.mix_noise(latents, scale=0.3, key=key))
    np.testing.assert_allclose(found, want, atol=1e-5)


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
