"""The autoencoder beside diffusers' and the `ltx-video` wheel's, live.

Both upstreams read the files that we write, so names and words are checked with the
numbers. Weights are those of the goldens, rounded to the bfloat16 of files.
"""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.models.ltx import vae_diffusers, vae_lightricks, vae_weights
from aw_jax.models.ltx.vae_config import (
    PROBE,
    PROBE_090,
    PROBE_091,
    VAE_090,
    VAE_091,
    VAE_095,
)
from aw_jax.models.ltx.vae_files import export_folder, export_single_file, load_vae
from aw_jax.nn import convolution

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="the peers are not installed")
pytest.importorskip("diffusers", reason="the peers are not installed")
pytest.importorskip("ltx_video", reason="the peers are not installed")

SCRIPT = Path(__file__).parents[2] / "scripts/goldens/ltx_vae.py"
PROBES = {"0.9.0": PROBE_090, "0.9.1": PROBE_091, "0.9.5": PROBE}
FULL = {"0.9.0": VAE_090, "0.9.1": VAE_091, "0.9.5": VAE_095}


@pytest.fixture(autouse=True)
def paired(monkeypatch):
    """Frames go by pairs, as on a CPU at the sizes people use; the goldens by taps."""
    monkeypatch.setattr(convolution, "_SMALL", 0)


@pytest.fixture(scope="module")
def upstream():
    """The script that makes the goldens, as a module."""
    spec = importlib.util.spec_from_file_location("ltx_vae_goldens", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ours_of(model, config):
    """Our autoencoder with the tensors of diffusers' `model`."""
    graphdef, state = vae_weights.abstract_vae(config)
    leaves, arrays = dict(nnx.to_flat_state(state)), {}
    for name, at in vae_weights.tensor_names(config, "diffusers").items():
        tensor = model.state_dict()[name].numpy()
        array = vae_weights.ours_from_upstream(tensor, at)
        arrays[at] = leaves[at].replace(jnp.asarray(array))
    return nnx.merge(graphdef, nnx.from_flat_state(arrays))


def coded(ours, video, latents, timesteps, key=None):
    graphdef, state = nnx.split(ours)

    @jax.jit
    def run(state, video, latents, key):
        model = nnx.merge(graphdef, state)
        return model.encode(video), model.decode(latents, timestep=timesteps, key=key)

    return run(state, jnp.asarray(video), jnp.asarray(latents), key)


@pytest.mark.parametrize("frames", [1, 9])
@pytest.mark.parametrize("layout", PROBES)
def test_diffusers_reads_our_folder_and_codes_alike(upstream, tmp_path, layout, frames):
    export_folder(tmp_path, ours_of(upstream.upstream(layout), PROBES[layout]))
    theirs = upstream.AutoencoderKLLTXVideo.from_pretrained(tmp_path).eval()
    video, latents = upstream.inputs(frames)
    timesteps = jnp.asarray(upstream.TIMESTEPS[: len(video)])
    encoded, decoded = coded(load_vae(tmp_path), video, latents, timesteps)
    wanted = upstream.encode(theirs, video)["latents"]
    np.testing.assert_allclose(encoded, wanted, atol=1e-5)
    wanted = upstream.decode(theirs, latents)
    np.testing.assert_allclose(decoded, wanted, atol=1e-5)


@pytest.mark.parametrize("layout", PROBES)
def test_the_wheel_reads_our_single_file_and_codes_alike(upstream, tmp_path, layout):
    path = tmp_path / "single.safetensors"
    export_single_file(path, ours_of(upstream.upstream(layout), PROBES[layout]))
    theirs = upstream.CausalVideoAutoencoder.from_pretrained(path).eval()
    video, latents = upstream.inputs(9)
    t = torch.tensor(upstream.TIMESTEPS)
    mean, std = (
        s[:, None, None, None] for s in (theirs.mean_of_means, theirs.std_of_means)
    )
    with torch.no_grad():
        z = theirs.encode(upstream.channels_first(2 * video - 1)).latent_dist.mean
        decoded = theirs.decode(
            upstream.channels_first(latents) * std + mean,
            target_shape=(2, 3, 9, 64, 96),
            timestep=t,
        ).sample
    wanted = [((z - mean) / std), (decoded + 1) / 2]
    found = coded(load_vae(path), video, latents, jnp.asarray(upstream.TIMESTEPS))
    for ours, theirs in zip(found, wanted, strict=True):
        last = theirs.permute(0, 2, 3, 4, 1).numpy()
        np.testing.assert_allclose(ours, last, atol=1e-5)


def test_noise_inside_the_decoder_enters_where_it_does_upstream(upstream, monkeypatch):
    """torch's normals are replaced by ours, in the order in which the blocks run."""
    theirs, key = upstream.upstream("0.9.1", noise=True), jax.random.key(5)
    folded = jax.random.fold_in
    order = iter(
        folded(folded(folded(key, stage), 0), half)
        for stage, noisy in enumerate(PROBE_091.decoder_noise)
        for half in range(2)
        if noisy
    )

    def randn(shape, **_):
        return torch.tensor(np.asarray(jax.random.normal(next(order), (*shape, 1))))[
            ..., 0
        ]

    monkeypatch.setattr(torch, "randn", randn)
    video, latents = upstream.inputs(9)
    wanted = upstream.decode(theirs, latents)
    assert next(order, None) is None
    timesteps = jnp.asarray(upstream.TIMESTEPS)
    ours = ours_of(theirs, PROBE_091)
    _, decoded = coded(ours, video, latents, timesteps, key)
    np.testing.assert_allclose(decoded, wanted, atol=1e-5)


@pytest.mark.parametrize("layout", FULL)
def test_full_size_names_and_shapes_equal_upstream(upstream, layout):
    leaves = dict(nnx.to_flat_state(vae_weights.abstract_vae(FULL[layout])[1]))
    for whose, wanted in upstream.full_size_names(layout).items():
        found = {}
        for name, at in vae_weights.tensor_names(FULL[layout], whose).items():
            view = np.broadcast_to(np.float32(0), leaves[at].shape)
            found[name] = list(vae_weights.upstream_from_ours(view, at).shape)
        assert found == wanted, whose


@pytest.mark.parametrize("layout", FULL)
def test_what_upstream_says_of_its_layouts_is_what_we_read(upstream, layout):
    described = upstream.DIFFUSERS[layout]
    assert vae_diffusers.from_diffusers(described) == FULL[layout]
    described = upstream.LIGHTRICKS[layout]
    assert vae_lightricks.from_lightricks(described) == FULL[layout]
    tiny = upstream.tiny_diffusers(layout)
    assert vae_diffusers.from_diffusers(tiny) == PROBES[layout]
    tiny = upstream.tiny_lightricks(layout)
    assert vae_lightricks.from_lightricks(tiny) == PROBES[layout]


@pytest.mark.parametrize("layout", FULL)
def test_the_words_we_write_build_the_full_size_model_upstream(upstream, layout):
    described = vae_diffusers.to_diffusers(FULL[layout])
    with torch.device("meta"):
        theirs = upstream.AutoencoderKLLTXVideo.from_config(described)
        wheel = upstream.CausalVideoAutoencoder.from_config(
            vae_lightricks.to_lightricks(FULL[layout])
        )
    wanted = upstream.full_size_names(layout)
    assert {k: list(v.shape) for k, v in theirs.state_dict().items()} == wanted[
        "diffusers"
    ]
    for name, tensor in wheel.state_dict().items():
        assert list(tensor.shape) == wanted["lightricks"][name]
