"""The transformer beside diffusers' and the `ltx-video` wheel's, live."""

import importlib.util
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.flow import schedules, solver
from aw_jax.models.ltx import config as ltx
from aw_jax.models.ltx import lora_files, weights
from aw_jax.models.ltx.transformer_files import save_transformer
from aw_jax.nn import lora

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="the peers are not installed")
pytest.importorskip("diffusers", reason="the peers are not installed")
pytest.importorskip("ltx_video", reason="the peers are not installed")
pytest.importorskip("peft", reason="the peers are not installed")

SCRIPT = Path(__file__).parents[2] / "scripts/goldens/ltx_transformer.py"
FULL = {"13b": ltx.LTX_13B, "2b": ltx.LTX_2B}


@pytest.fixture(scope="module")
def upstream():
    """The script that makes the goldens, as a module."""
    spec = importlib.util.spec_from_file_location("ltx_transformer_goldens", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def config_of(width, upstream):
    heads, head_dim = upstream.WIDTHS[width]
    return ltx.TransformerConfig(
        layers=2,
        heads=heads,
        head_dim=head_dim,
        caption_channels=32,
        in_channels=8,
        out_channels=8,
        rope_time="causal",
    )


def ours_of(model, width, upstream, layout="diffusers"):
    tensors = ((k, v.numpy()) for k, v in model.state_dict().items())
    return weights.from_upstream(config_of(width, upstream), tensors, layout)


def run(model, levels, upstream):
    inputs = {k: jnp.asarray(v.numpy()) for k, v in upstream.inputs().items()}
    return jax.jit(lambda model, inputs: model(
        inputs["hidden_states"],
        jnp.moveaxis(inputs["video_coords"], 1, 2),
        jnp.asarray(levels.numpy()),
        inputs["encoder_hidden_states"],
        text_lengths=inputs["encoder_attention_mask"].sum(axis=1).astype(int),
    ))(model, inputs)  # fmt: skip


@pytest.mark.parametrize("columns", [1, 60])
@pytest.mark.parametrize("width", ["width64", "width32"])
def test_velocity_equals_diffusers(upstream, width, columns):
    model = upstream.transformer(width)
    with torch.no_grad():
        wanted = upstream.run(model, columns).numpy()
    got = run(ours_of(model, width, upstream), upstream.timesteps(columns), upstream)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_velocity_equals_the_ltx_video_wheel(upstream):
    theirs = upstream.Transformer3DModel(
        **upstream.LIGHTRICKS,
        num_layers=2,
        num_attention_heads=4,
        attention_head_dim=16,
        cross_attention_dim=64,
        caption_channels=32,
        in_channels=8,
        out_channels=8,
    ).eval()
    upstream.fill(theirs)
    inputs, levels = upstream.inputs(), upstream.timesteps(60)
    inputs["indices_grid"] = inputs.pop("video_coords")
    with torch.no_grad():
        wanted = theirs(timestep=levels, return_dict=False, **inputs)[0].numpy()
    ours = ours_of(theirs, "width64", upstream, layout="lightricks")
    np.testing.assert_allclose(run(ours, levels, upstream), wanted, atol=1e-5)


@pytest.mark.parametrize("layout", ["diffusers", "lightricks"])
@pytest.mark.parametrize("size", FULL)
def test_full_size_names_and_shapes_equal_upstream(upstream, size, layout):
    names = weights.tensor_names(FULL[size], layout)
    got = {k: weights.tensor_shape(FULL[size], slot) for k, slot in names.items()}
    assert got == upstream.full_size_names(size, layout)


def test_our_file_loads_into_the_wheel(upstream, tmp_path):
    model = upstream.transformer("width64")
    save_transformer(tmp_path / "m.safetensors", ours_of(model, "width64", upstream))
    theirs = upstream.Transformer3DModel.from_pretrained(tmp_path / "m.safetensors")
    ours = ours_of(theirs, "width64", upstream, layout="lightricks")
    for name, tensor in weights.to_upstream(ours, "diffusers").items():
        np.testing.assert_array_equal(tensor, model.state_dict()[name].numpy())


def test_our_adapter_means_the_same_to_diffusers(upstream):
    """alpha is folded into B, so a file without alpha gives the same velocity."""
    model = upstream.transformer("width32")
    ours = ours_of(model, "width32", upstream)
    ours = lora.attach(ours, name="x", rank=4, alpha=8, rngs=nnx.Rngs(0))
    graphdef, adapter, frozen = lora.split(ours, "x")
    ours = lora.join(graphdef, jax.tree.map(lambda a: a + 0.05, adapter), frozen)
    tensors = lora_files.adapter_tensors(ours, "x")
    model.load_lora_adapter({k: torch.tensor(v) for k, v in tensors.items()})
    with torch.no_grad():
        wanted = upstream.run(model, 60).numpy()
    got = run(ours, upstream.timesteps(60), upstream)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_steps_per_token_equal_the_wheel(upstream):
    scheduler = upstream.RectifiedFlowScheduler(sampler="LinearQuadratic")
    scheduler.set_timesteps(8)
    rng = np.random.default_rng(0)
    times = schedules.linear_quadratic(8)
    t = rng.choice(times[:-1], (2, 6)).astype(np.float32)
    z, v = rng.standard_normal((2, 2, 6, 3)).astype(np.float32)
    wanted = scheduler.step(*map(torch.from_numpy, (v, t, z))).prev_sample.numpy()
    lower = solver.next_lower(jnp.asarray(t), times)
    got = solver.step(jnp.asarray(z), jnp.asarray(v), jnp.asarray(t), lower)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_the_metadata_we_write_is_what_the_wheel_reads(upstream):
    config = config_of("width64", upstream)
    entry = json.loads(json.dumps(ltx.to_upstream(config)))
    model = upstream.Transformer3DModel.from_config(entry)
    names = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    ours = weights.tensor_names(config, "lightricks")
    assert names == {k: weights.tensor_shape(config, slot) for k, slot in ours.items()}
