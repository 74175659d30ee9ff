"""Latent upsamplers beside Lightricks' and diffusers' own, live: files both ways."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.models.ltx.upsampler_files import load_upsampler, save_upsampler

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="the peers are not installed")
pytest.importorskip("diffusers", reason="the peers are not installed")
pytest.importorskip("ltx_video", reason="the peers are not installed")

SCRIPT = Path(__file__).parents[2] / "scripts/goldens/ltx_upsampler.py"


@pytest.fixture(scope="module")
def upstream():
    """The script that makes the goldens, as a module."""
    spec = importlib.util.spec_from_file_location("ltx_upsampler_goldens", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("form", ["space", "both"])
def test_we_read_diffusers_folder_and_lightricks_reads_our_file(
    upstream, tmp_path, form
):
    """Rounded to the bfloat16 of files first, so that nothing is lost on the way."""
    theirs = upstream.model(form, upstream.LTXLatentUpsamplerModel)
    theirs.to(torch.bfloat16).save_pretrained(tmp_path / "folder")
    model = load_upsampler(tmp_path / "folder")
    save_upsampler(tmp_path / "a.safetensors", model)
    path = tmp_path / "a.safetensors"
    again = upstream.LatentUpsampler.from_pretrained(path).float().eval()
    latents = jnp.asarray(upstream.draw("latents", upstream.LATENTS))
    found = jax.jit(lambda m, z: m(z))(model, latents)
    np.testing.assert_allclose(found, upstream.run(again), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        found, upstream.run(theirs.float()), rtol=1e-5, atol=1e-5
    )
