import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.core.errors import UserError
from aw_jax.models.ltx.config import PROBE
from aw_jax.models.ltx.lora_files import adapter_tensors, load_adapter
from aw_jax.models.ltx.safetensors_files import save_tensors
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.nn import lora
from aw_jax.nn.initialize import initialized

CONFIG = dataclasses.replace(PROBE, in_channels=4, out_channels=4)


def built(name):
    base = initialized(lambda: Transformer(CONFIG, rngs=nnx.Rngs(0)))
    model = lora.attach(base, name=name, rank=3, alpha=6, rngs=nnx.Rngs(1))
    for index, (_, layer) in enumerate(lora.adapted_layers(model).items()):
        low = layer.adapters[name]
        low.b[...] = jax.random.normal(jax.random.key(index), low.b.shape) / 10
    return base, model


def velocity(model):
    """On a fixed input; compiled, since that is quicker than op by op."""
    keys = jax.random.split(jax.random.key(0), 2)
    return jax.jit(
        lambda m: m(
            jax.random.normal(keys[0], (1, 6, 4)),
            jnp.zeros((1, 6, 3)),
            jnp.ones((1, 1)),
            jax.random.normal(keys[1], (1, 2, CONFIG.caption_channels)),
        )
    )(model)


def test_an_adapter_comes_back_with_alpha_folded_in(tmp_path):
    base, model = built("restorer")
    tensors = adapter_tensors(model, "restorer")
    assert len(tensors) == 2 * 10 * CONFIG.layers
    name = "transformer.transformer_blocks.1.ff.net.0.proj.lora_A.weight"
    assert tensors[name].shape == (3, CONFIG.width)
    save_tensors(tmp_path / "a.safetensors", tensors, metadata={})
    loaded = load_adapter(base, tmp_path / "a.safetensors", "again")
    np.testing.assert_allclose(velocity(loaded), velocity(model), atol=1e-6)
    assert float(jnp.abs(velocity(loaded) - velocity(base)).max()) > 1e-3


def test_foreign_files_are_refused_by_name(tmp_path):
    base, model = built("restorer")
    tensors = adapter_tensors(model, "restorer")
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"other": np.zeros(3, np.float32)}, metadata={})
    with pytest.raises(UserError, match="found none"):
        load_adapter(base, path, "x")
    wrong = {n: np.zeros((2, 2), np.float32) for n in tensors}
    save_tensors(path, wrong, metadata={})
    with pytest.raises(UserError, match="another base"):
        load_adapter(base, path, "x")
    half = {n: t for n, t in tensors.items() if "blocks.0." not in n}
    save_tensors(path, half, metadata={})
    with pytest.raises(UserError, match="every block"):
        load_adapter(base, path, "x")
