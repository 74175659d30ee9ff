import json

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import nnx

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import safetensors_files, vae_weights
from aw_jax.models.ltx.vae_config import PROBE
from aw_jax.models.ltx.vae_files import load_vae, save_vae


def arrays_of(vae):
    return {at: leaf.get_value() for at, leaf in nnx.to_flat_state(nnx.state(vae))}


@pytest.fixture(scope="module")
def vae():
    """A probe whose every number survives bfloat16."""
    rng = np.random.default_rng(3)
    graphdef, state = vae_weights.abstract_vae(PROBE)
    drawn = {
        at: leaf.replace(jnp.asarray(rng.integers(-99, 99, leaf.shape) / 64, "float32"))
        for at, leaf in nnx.to_flat_state(state)
    }
    return nnx.merge(graphdef, nnx.from_flat_state(drawn))


@pytest.fixture
def saved(vae, tmp_path):
    save_vae(tmp_path / "vae.safetensors", vae, metadata={"license": "Apache-2.0"})
    return tmp_path / "vae.safetensors"


def rewrite(path, change):
    names = safetensors_files.tensor_shapes(path)
    tensors = change(dict(safetensors_files.iterate_tensors(path, names)))
    metadata = safetensors_files.file_metadata(path)
    safetensors_files.save_tensors(path, tensors, metadata=metadata)


def test_a_saved_autoencoder_loads_as_it_was(vae, saved):
    loaded = load_vae(saved)
    assert loaded.config == PROBE
    found, want = arrays_of(loaded), arrays_of(vae)
    assert found.keys() == want.keys()
    for at, array in found.items():
        assert array.dtype == jnp.float32
        np.testing.assert_array_equal(array, want[at], err_msg=str(at))


def test_parameters_are_stored_as_bfloat16_and_statistics_as_float32(saved):
    names = safetensors_files.tensor_shapes(saved)
    for name, array in safetensors_files.iterate_tensors(saved, names):
        buffer = name.startswith("latents_") or name.endswith("multiplier")
        assert array.dtype == (np.float32 if buffer else ml_dtypes.bfloat16), name
    assert safetensors_files.file_metadata(saved)["license"] == "Apache-2.0"


def test_parameters_may_stay_bfloat16_in_memory(saved):
    loaded = load_vae(saved, dtype="bfloat16")
    assert loaded.encoder.conv_in.kernel.dtype == jnp.bfloat16
    assert loaded.latents_mean.dtype == jnp.float32


def test_a_single_file_checkpoint_is_read_by_its_own_names(vae, saved):
    """Renamed to Lightricks' names under `vae.`, among other models' tensors."""
    ours = {v: k for k, v in vae_weights.tensor_names(PROBE, "diffusers").items()}
    lightricks = vae_weights.tensor_names(PROBE, "lightricks")

    def change(tensors):
        renamed = {f"vae.{name}": tensors[ours[at]] for name, at in lightricks.items()}
        other = np.zeros(2, np.float32)
        return renamed | {
            "model.diffusion_model.proj_out.bias": other,
            "vae.per_channel_statistics.channel": other,
        }

    rewrite(saved, change)
    want = arrays_of(vae)
    for at, array in arrays_of(load_vae(saved)).items():
        np.testing.assert_array_equal(array, want[at], err_msg=str(at))


def without_bias(tensors):
    del tensors["encoder.conv_in.conv.bias"]
    return tensors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_bias, r"1 \(encoder.conv_in.conv.bias\) missing, 0 not used"),
        (
            lambda t: t | {"extra": t["latents_mean"]},
            r"0 missing, 1 \(extra\) not used",
        ),
        (lambda t: t | {"latents_mean": np.zeros(3, "float32")}, r"shape \(3,\)"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(saved, change, message):
    rewrite(saved, change)
    with pytest.raises(UserError, match=message):
        load_vae(saved)


def test_an_impossible_configuration_is_refused(saved):
    config = json.loads(safetensors_files.file_metadata(saved)["config"])
    config["vae"]["encoder_widths"] = [8]
    names = safetensors_files.tensor_shapes(saved)
    tensors = dict(safetensors_files.iterate_tensors(saved, names))
    metadata = {"config": json.dumps(config)}
    safetensors_files.save_tensors(saved, tensors, metadata=metadata)
    with pytest.raises(UserError, match="encoder_widths must have one entry more"):
        load_vae(saved)
