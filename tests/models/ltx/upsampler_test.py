"""Latent upsamplers beside Lightricks' (tests/golden/ltx_upsampler.json), and files."""

import hashlib
import json
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.core.errors import UserError
from aw_jax.models.ltx.latent_statistics import adain, tone_mapped, upsampled
from aw_jax.models.ltx.safetensors_files import save_tensors
from aw_jax.models.ltx.upsampler import UpsamplerConfig
from aw_jax.models.ltx.upsampler_files import (
    load_upsampler,
    save_upsampler,
    tensor_shapes,
)
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_blocks import Buffer
from aw_jax.models.ltx.vae_config import PROBE

GOLDEN = Path(__file__).parents[2] / "golden/ltx_upsampler"
PROVENANCE = json.loads(GOLDEN.with_suffix(".json").read_text())
FORMS = {
    "space": {"dims": 3, "spatial_upsample": True, "temporal_upsample": False},
    "time": {"dims": 3, "spatial_upsample": False, "temporal_upsample": True},
    "both": {"dims": 3, "spatial_upsample": True, "temporal_upsample": True},
    "frames": {"dims": 2, "spatial_upsample": True, "temporal_upsample": False},
}
SIZE = {"in_channels": 8, "mid_channels": 64, "num_blocks_per_stage": 1}
LATENTS = (2, 3, 4, 5, 8)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN.with_suffix(".npz")) as file:
        return dict(file)


def draw(name, shape):
    """As scripts/goldens/ltx_upsampler.py draws it."""
    rng = np.random.default_rng([PROVENANCE["seed"], zlib.crc32(name.encode())])
    values = rng.standard_normal(shape)
    if "norm" in name and name.endswith("weight"):
        values = 1 + 0.3 * values
    elif name.endswith("weight"):
        values = values / np.sqrt(np.prod(shape[1:]))
    return values.astype(np.float32)


def config_of(form):
    words = FORMS[form]
    return UpsamplerConfig(
        channels=8,
        width=64,
        blocks=1,
        dims=words["dims"],
        spatial=words["spatial_upsample"],
        temporal=words["temporal_upsample"],
    )


def drawn_tensors(form):
    shapes = tensor_shapes(config_of(form))
    return {name: draw(name, shape) for name, shape in shapes.items()}


def write(path, form):
    """A file as Lightricks writes it."""
    words = {"_class_name": "LatentUpsampler"} | SIZE | FORMS[form]
    save_tensors(path, drawn_tensors(form), metadata={"config": json.dumps(words)})
    return path


def assert_close(found, golden, name):
    values = np.asarray(found).ravel()[:: PROVENANCE["stride"]]
    np.testing.assert_allclose(values, golden[name], rtol=1e-5, atol=1e-5)
    both = [found.mean(), jnp.linalg.norm(found)]
    np.testing.assert_allclose(both, golden[f"{name}.mean_norm"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_upsampled_latents_equal_upstream(tmp_path, golden, form):
    model = load_upsampler(write(tmp_path / "a.safetensors", form))
    found = jax.jit(lambda m, z: m(z))(model, jnp.asarray(draw("latents", LATENTS)))
    frames = 5 if FORMS[form]["temporal_upsample"] else 3
    scale = 2 if FORMS[form]["spatial_upsample"] else 1
    assert found.shape == (2, frames, 4 * scale, 5 * scale, 8)
    assert_close(found, golden, form)


@pytest.mark.parametrize("form", FORMS)
def test_names_and_shapes_at_full_size_are_those_of_upstream(form):
    words = FORMS[form]
    full = UpsamplerConfig(
        dims=words["dims"],
        spatial=words["spatial_upsample"],
        temporal=words["temporal_upsample"],
    )
    shapes = tensor_shapes(full)
    lines = "\n".join(f"{k} {list(shapes[k])}" for k in sorted(shapes))
    digest = {
        "count": len(shapes),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }
    assert digest == PROVENANCE["names"][form]


def test_adain_gives_every_channel_the_statistics_of_another_clip(golden):
    over = 3 * draw("latents", LATENTS) + draw("offset", (8,))
    like = draw("like", (2, 2, 3, 4, 8)) * draw("scale", (8,))
    found = adain(jnp.asarray(over), jnp.asarray(like))
    assert_close(found, golden, "adain")
    np.testing.assert_allclose(found.mean((1, 2, 3)), like.mean((1, 2, 3)), atol=1e-5)


def test_large_latents_are_compressed(golden):
    z = jnp.asarray(3 * draw("latents", LATENTS))
    assert_close(tone_mapped(z, 0.6), golden, "tone")
    np.testing.assert_array_equal(tone_mapped(z, 0.0), z)


def test_latents_are_upsampled_as_the_autoencoder_has_them(tmp_path):
    model = load_upsampler(write(tmp_path / "a.safetensors", "frames"))
    vae = nnx.eval_shape(lambda: VideoVAE(PROBE, rngs=nnx.Rngs(0)))
    mean, std = jnp.linspace(-1, 1, 8), jnp.linspace(0.5, 2, 8)
    vae.latents_mean, vae.latents_std = Buffer(mean), Buffer(std)
    z = jnp.asarray(draw("latents", LATENTS))
    run = jax.jit(lambda m, z: (upsampled(m, vae, z), m(z * std + mean)))
    found, raw = run(model, z)
    np.testing.assert_allclose(found, adain((raw - mean) / std, z), atol=1e-5)


def test_files_come_back_and_folders_are_read(tmp_path):
    path, words = write(tmp_path / "a.safetensors", "both"), FORMS["both"]
    model = load_upsampler(path)
    save_upsampler(tmp_path / "b.safetensors", model)
    again = load_upsampler(tmp_path / "b.safetensors", dtype="bfloat16")
    folder = tmp_path / "latent_upsampler"
    folder.mkdir()
    described = {"_class_name": "LTXLatentUpsamplerModel"} | SIZE | words
    (folder / "config.json").write_text(json.dumps(described))
    file = folder / "diffusion_pytorch_model.safetensors"
    save_tensors(file, drawn_tensors("both"), metadata={"format": "pt"})
    from_folder = load_upsampler(folder)
    assert again.config == from_folder.config == model.config == config_of("both")
    for wanted, folded, half in zip(
        *(jax.tree.leaves(nnx.state(m)) for m in (model, from_folder, again)),
        strict=True,
    ):
        np.testing.assert_array_equal(folded, wanted)
        np.testing.assert_array_equal(half, wanted.astype(jnp.bfloat16))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w, t: w.update(_class_name="Other"), "got 'Other'"),
        (lambda w, t: w.update(dims=4), "dims 2 or 3"),
        (lambda w, t: w.update(mid_channels=40), "multiple of 32, got 40"),
        (lambda w, t: w.update(mid_channels=32), r"has shape .* the model expects"),
        (lambda w, t: t.pop("final_conv.bias"), r"1 \(final_conv.bias\) missing"),
        (lambda w, t: t.update(odd=np.ones(1)), r"1 \(odd\) not used"),
    ],
)
def test_other_files_are_refused(tmp_path, change, message):
    words, tensors = {"_class_name": "LatentUpsampler"} | SIZE, drawn_tensors("space")
    change(words, tensors)
    path = tmp_path / "a.safetensors"
    save_tensors(path, tensors, metadata={"config": json.dumps(words)})
    with pytest.raises(UserError, match=message):
        load_upsampler(path)
