"""Adapter files as upstream writes them, beside what peft makes of them.

The files are made from the names, shapes and metadata that scripts/goldens kept; no
network is run.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from aw_jax.models.ltx.config import TransformerConfig
from aw_jax.models.ltx.lora_files import adapter_pairs, load_adapter, save_adapter
from aw_jax.models.ltx.safetensors_files import save_tensors
from aw_jax.models.ltx.transformer import Transformer

GOLDEN = Path(__file__).parents[2] / "golden/ltx_lora"
PROVENANCE = json.loads(GOLDEN.with_suffix(".json").read_text())
STRIDE, FILES = PROVENANCE["stride"], PROVENANCE["files"]
CONFIG = TransformerConfig(
    layers=2,
    heads=4,
    head_dim=8,
    caption_channels=32,
    in_channels=8,
    out_channels=8,
    rope_time="causal",
)


def draw(name, shape):
    """As scripts/goldens/ltx_lora.py draws it."""
    rng = np.random.default_rng([PROVENANCE["seed"], zlib.crc32(name.encode())])
    values = rng.standard_normal(shape)
    values = 4 * np.abs(values) if name.endswith("alpha") else values
    return np.asarray(values, np.float32)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN.with_suffix(".npz")) as file:
        return dict(file)


@pytest.fixture(scope="module")
def base():
    return nnx.eval_shape(lambda: Transformer(CONFIG, rngs=nnx.Rngs(0)))


def assert_updates(model, golden, form):
    """alpha / r B A of every layer equals peft's."""
    pairs = adapter_pairs(model, "x")
    flat = [(pairs[layer].b @ pairs[layer].a).ravel() for layer in sorted(pairs)]
    values = np.concatenate([update[::STRIDE] for update in flat])
    np.testing.assert_allclose(values, golden[form], rtol=1e-5, atol=1e-5)
    both = [(update.mean(), np.linalg.norm(update)) for update in flat]
    np.testing.assert_allclose(both, golden[f"{form}.mean_norm"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", FILES)
def test_a_file_in_every_form_means_what_peft_makes_of_it(tmp_path, golden, base, form):
    path, file = tmp_path / "a.safetensors", FILES[form]
    tensors = {name: draw(name, shape) for name, shape in file["tensors"].items()}
    save_tensors(path, tensors, metadata=file["metadata"])
    model = load_adapter(base, path, "x")
    assert_updates(model, golden, form)
    again = tmp_path / "b.safetensors"
    save_adapter(again, model, "x", layout="lightricks")
    assert_updates(load_adapter(base, again, "x"), golden, form)
