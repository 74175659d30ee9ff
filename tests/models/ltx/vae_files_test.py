import dataclasses
import json
from pathlib import Path

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import nnx

import aw_jax
from aw_jax.core.errors import UserError
from aw_jax.models.ltx import safetensors_files, vae_weights
from aw_jax.models.ltx.vae_config import (
    PROBE,
    PROBE_090,
    PROBE_091,
    TINY,
    VAE_090,
    VAE_091,
    VAE_095,
)
from aw_jax.models.ltx.vae_files import (
    PREFIX,
    UNUSED,
    export_folder,
    export_single_file,
    load_vae,
    recognised,
    save_vae,
)

PROBES = {"0.9.0": PROBE_090, "0.9.1": PROBE_091, "0.9.5": PROBE}
FULL = {"0.9.0": VAE_090, "0.9.1": VAE_091, "0.9.5": VAE_095}
GOLDEN = Path(__file__).parents[2] / "golden/ltx_vae.json"
SHIPPED = Path(aw_jax.__file__).parent / "restoration/ltx_tiny/vae.safetensors"


def arrays_of(vae):
    return {at: leaf.get_value() for at, leaf in nnx.to_flat_state(nnx.state(vae))}


@pytest.fixture(scope="module")
def vae():
    return drawn(PROBE)


@pytest.fixture
def saved(vae, tmp_path):
    save_vae(tmp_path / "vae.safetensors", vae, metadata={"license": "Apache-2.0"})
    return tmp_path / "vae.safetensors"


def drawn(config):
    """A probe whose every number survives bfloat16."""
    rng = np.random.default_rng(3)
    graphdef, state = vae_weights.abstract_vae(config)
    arrays = {
        at: leaf.replace(jnp.asarray(rng.integers(-99, 99, leaf.shape) / 64, "float32"))
        for at, leaf in nnx.to_flat_state(state)
    }
    return nnx.merge(graphdef, nnx.from_flat_state(arrays))


def assert_same(found, want):
    assert found.config == want.config
    found, want = arrays_of(found), arrays_of(want)
    assert found.keys() == want.keys()
    for at, array in found.items():
        np.testing.assert_array_equal(array, want[at], err_msg=str(at))


def rewrite(path, change):
    names = safetensors_files.tensor_shapes(path)
    tensors = change(dict(safetensors_files.iterate_tensors(path, names)))
    metadata = safetensors_files.file_metadata(path)
    safetensors_files.save_tensors(path, tensors, metadata=metadata)


def test_a_saved_autoencoder_loads_as_it_was(vae, saved):
    loaded = load_vae(saved)
    assert_same(loaded, vae)
    dtypes = {str(array.dtype) for array in arrays_of(loaded).values()}
    assert dtypes == {"float32"}


@pytest.mark.parametrize("layout", PROBES)
def test_every_layout_comes_back_from_our_file_a_single_file_and_a_folder(
    tmp_path, layout
):
    vae = drawn(PROBES[layout])
    save_vae(tmp_path / "ours.safetensors", vae)
    assert_same(load_vae(tmp_path / "ours.safetensors"), vae)
    export_single_file(tmp_path / "single.safetensors", vae)
    names = safetensors_files.tensor_shapes(tmp_path / "single.safetensors")
    assert "vae.per_channel_statistics.std-of-means" in names
    assert_same(load_vae(tmp_path / "single.safetensors"), vae)
    export_folder(tmp_path / "folder", vae)
    assert_same(load_vae(tmp_path / "folder"), vae)


def test_a_folder_may_hold_its_tensors_in_several_files(tmp_path, vae):
    export_folder(tmp_path, vae)
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    names = safetensors_files.tensor_shapes(path)
    tensors = dict(safetensors_files.iterate_tensors(path, names))
    path.unlink()
    for i in range(2):
        part = dict(list(tensors.items())[i::2])
        name = f"diffusion_pytorch_model-0000{i + 1}-of-00002.safetensors"
        safetensors_files.save_tensors(tmp_path / name, part, metadata={})
    assert_same(load_vae(tmp_path), vae)


def test_a_folder_without_its_config_is_refused(tmp_path, vae):
    export_folder(tmp_path, vae)
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match=r"expected config\.json and"):
        load_vae(tmp_path)


@pytest.mark.parametrize("whose", ["diffusers", "lightricks"])
@pytest.mark.parametrize("layout", FULL)
def test_a_file_that_describes_nothing_is_recognised_by_its_tensors(layout, whose):
    golden = json.loads(GOLDEN.read_text())["full_size"][layout][whose]
    shapes = {k: tuple(map(int, v.split())) for k, v in golden.items()}
    assert recognised(shapes) == FULL[layout]
    assert recognised({PREFIX + k: v for k, v in shapes.items()}) == FULL[layout]


def test_tensors_alone_load_with_a_configuration_of_the_caller(tmp_path):
    """As ComfyUI's files of an autoencoder alone: Lightricks' names, no prefix."""
    vae, path = drawn(PROBE_091), tmp_path / "vae.safetensors"
    export_single_file(path, vae)
    names = safetensors_files.tensor_shapes(path)
    tensors = dict(safetensors_files.iterate_tensors(path, names))
    bare = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    safetensors_files.save_tensors(path, bare, metadata={})
    with pytest.raises(UserError, match=r"188 .* missing, 0 not used"):
        load_vae(path)  # taken for the 0.9.1 of full size
    assert_same(load_vae(path, config=PROBE_091), vae)


@pytest.mark.parametrize("layout", PROBES)
def test_known_unused_tensors_load_silently(tmp_path, layout):
    vae, path = drawn(PROBES[layout]), tmp_path / "single.safetensors"
    export_single_file(path, vae)
    unread = {PREFIX + name: np.zeros(8, "float32") for name in UNUSED["lightricks"]}
    rewrite(path, lambda tensors: tensors | unread)
    assert_same(load_vae(path), vae)


def test_an_autoencoder_that_diffusers_cannot_describe_is_not_exported(tmp_path):
    graphdef, state = vae_weights.abstract_vae(TINY)
    with pytest.raises(UserError, match="diffusers can only describe"):
        export_folder(tmp_path / "folder", nnx.merge(graphdef, state))
    assert not (tmp_path / "folder").exists()


def test_the_shipped_autoencoder_is_written_back_byte_for_byte(tmp_path):
    metadata = safetensors_files.file_metadata(SHIPPED)
    del metadata["config"]
    save_vae(tmp_path / "vae.safetensors", load_vae(SHIPPED), metadata=metadata)
    assert (tmp_path / "vae.safetensors").read_bytes() == SHIPPED.read_bytes()


def test_where_noise_is_mixed_in_is_kept_in_our_file(tmp_path):
    vae = drawn(PROBE)
    vae.config = dataclasses.replace(PROBE, decode_noise_space="raw")
    save_vae(tmp_path / "vae.safetensors", vae)
    assert load_vae(tmp_path / "vae.safetensors").config.decode_noise_space == "raw"


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
