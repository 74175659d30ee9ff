"""Adapter files beside peft's and diffusers' own, live: read, written and merged."""

import importlib.util
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.models.ltx import lora_files, weights
from aw_jax.models.ltx.config import TransformerConfig
from aw_jax.nn import lora

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="the peers are not installed")
pytest.importorskip("diffusers", reason="the peers are not installed")
pytest.importorskip("ltx_video", reason="the peers are not installed")
pytest.importorskip("peft", reason="the peers are not installed")

SCRIPT = Path(__file__).parents[2] / "scripts/goldens/ltx_transformer.py"
CONFIG = TransformerConfig(
    layers=2,
    heads=4,
    head_dim=8,
    caption_channels=32,
    in_channels=8,
    out_channels=8,
    rope_time="causal",
)
BLOCKS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2"]
OUTSIDE = ["proj_in", "proj_out", "linear_1", "linear_2", "time_embed.linear"]


@pytest.fixture(scope="module")
def upstream():
    """The script that makes the transformer's goldens, as a module."""
    spec = importlib.util.spec_from_file_location("ltx_transformer_goldens", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def base(upstream):
    state = upstream.transformer("width32").state_dict()
    tensors = ((name, tensor.numpy()) for name, tensor in state.items())
    return weights.from_upstream(CONFIG, tensors, "diffusers")


def adapted(upstream, targets, **changes):
    """A diffusers model with a drawn peft adapter of rank 4."""
    config = upstream.LoraConfig(r=4, target_modules=targets, **changes)
    model = upstream.transformer("width32")
    model.add_adapter(config)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            # Small: velocities stay near 1, where 1e-5 is meant.
            drawn = 0.2 * upstream.draw(name, tuple(parameter.shape))
            parameter.data = torch.from_numpy(drawn)
    return model


def exported(model, folder, *, prefix="transformer", described):
    """The file that diffusers' pipeline writes, with its metadata or without."""
    from diffusers import LTXPipeline
    from peft.utils import get_peft_model_state_dict

    layers = get_peft_model_state_dict(model)
    if not described:
        tensors = {f"{prefix}.{k}": v.contiguous() for k, v in layers.items()}
        from safetensors.torch import save_file

        save_file(tensors, folder / "a.safetensors")
        return folder / "a.safetensors"
    notes = model.peft_config["default"].to_dict()
    LTXPipeline.save_lora_weights(
        folder,
        layers,
        weight_name="a.safetensors",
        transformer_lora_adapter_metadata=notes,
    )
    return folder / "a.safetensors"


def theirs(model, upstream):
    with torch.no_grad():
        return upstream.run(model, 60).numpy()


@jax.jit
def call(model, inputs, levels):
    return model(
        inputs["hidden_states"],
        jnp.moveaxis(inputs["video_coords"], 1, 2),
        levels,
        inputs["encoder_hidden_states"],
        text_lengths=inputs["encoder_attention_mask"].sum(axis=1).astype(int),
    )


def ours(model, upstream):
    inputs = {k: jnp.asarray(v.numpy()) for k, v in upstream.inputs().items()}
    return call(model, inputs, jnp.asarray(upstream.timesteps(60).numpy()))


PATTERNS = {
    "rank_pattern": {"to_q": 2, "transformer_blocks.1.ff.net.2": 3},
    "alpha_pattern": {"to_k": 16, "^transformer_blocks.0.attn1.to_v": 1},
}


@pytest.mark.parametrize(
    "changes",
    [
        {"lora_alpha": 8},
        {"lora_alpha": 8} | PATTERNS,
        {"lora_alpha": 6, "use_rslora": True},
    ],
)
def test_adapters_with_metadata_of_diffusers(upstream, base, tmp_path, changes):
    model = adapted(upstream, BLOCKS + OUTSIDE, **changes)
    path = exported(model, tmp_path, described=True)
    loaded = lora_files.load_adapter(base, path, "x")
    wanted = theirs(model, upstream)
    np.testing.assert_allclose(ours(loaded, upstream), wanted, atol=1e-5)
    merged = lora.merge(loaded, "x")
    np.testing.assert_allclose(ours(merged, upstream), wanted, atol=2e-5)


@pytest.mark.parametrize("prefix", ["transformer", "diffusion_model"])
def test_adapters_without_metadata_mean_what_diffusers_takes(
    upstream, base, tmp_path, prefix
):
    """Trap 8: alpha = 8 at r = 4 is lost with the metadata, on both sides."""
    from diffusers import LTXPipeline

    model = adapted(upstream, BLOCKS, lora_alpha=8)
    path = exported(model, tmp_path, prefix=prefix, described=False)
    again = upstream.transformer("width32")
    state = LTXPipeline.lora_state_dict(str(path))
    again.load_lora_adapter(state)
    wanted = theirs(again, upstream)
    assert np.abs(wanted - theirs(model, upstream)).max() > 1e-3
    got = ours(lora_files.load_adapter(base, path, "x"), upstream)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("layout", ["diffusers", "lightricks"])
def test_what_we_write_diffusers_reads(upstream, base, tmp_path, layout, metadata):
    """Ranks differ; in ComfyUI's names diffusers reads the layers of the blocks."""
    from diffusers import LTXPipeline

    outside = OUTSIDE if layout == "diffusers" else []
    model = adapted(upstream, BLOCKS + outside, lora_alpha=8, **PATTERNS)
    path = exported(model, tmp_path, described=True)
    loaded = lora_files.load_adapter(base, path, "x")
    lora_files.save_adapter(tmp_path / "b.safetensors", loaded, "x", layout=layout)
    state, notes = LTXPipeline.lora_state_dict(
        str(tmp_path / "b.safetensors"), return_lora_metadata=True
    )
    assert json.dumps(notes)
    again = upstream.transformer("width32")
    again.load_lora_adapter(state, metadata=notes if metadata else None)
    wanted = theirs(model, upstream)
    np.testing.assert_allclose(theirs(again, upstream), wanted, atol=1e-5)
