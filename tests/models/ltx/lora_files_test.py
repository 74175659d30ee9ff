import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import weights
from aw_jax.models.ltx.config import PROBE
from aw_jax.models.ltx.lora_files import (
    adapter_pairs,
    adapter_tensors,
    layer_slots,
    load_adapter,
    load_adapters,
    save_adapter,
)
from aw_jax.models.ltx.lora_pairs import Pair, save_pairs
from aw_jax.models.ltx.safetensors_files import save_tensors
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.nn import lora
from aw_jax.nn.initialize import initialized

CONFIG = dataclasses.replace(PROBE, in_channels=4, out_channels=4)


@functools.cache
def drawn():
    return initialized(lambda: Transformer(CONFIG, rngs=nnx.Rngs(0)))


@functools.cache
def unrolled():
    """The same, its blocks one by one."""
    config = dataclasses.replace(CONFIG, unroll=True)
    tensors = weights.to_upstream(drawn(), "diffusers").items()
    return weights.from_upstream(config, tensors, "diffusers")


def attached(base, name):
    return lora.attach(base, name=name, rank=3, alpha=6, rngs=nnx.Rngs(1))


def built(name):
    base = drawn()
    model = attached(base, name)
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


def test_ranks_may_differ_and_layers_outside_the_blocks_adapt(tmp_path):
    base, _ = built("x")
    rng = np.random.default_rng(0)
    draw = lambda *shape: 0.3 * rng.standard_normal(shape).astype(np.float32)
    known = lora.linear_layers(base)
    pairs = {}
    for index, (layer, slot) in enumerate(layer_slots(CONFIG).items()):
        inputs, outputs = known[slot.dotted].kernel.shape[-2:]
        rank = 2 + index % 3
        pairs[layer] = Pair(draw(rank, inputs), draw(outputs, rank))
    assert {"proj_in", "proj_out", "time_embed.linear"} <= set(pairs)
    assert "caption_projection.linear_2" in pairs
    path = tmp_path / "a.safetensors"
    save_pairs(path, pairs, layout="lightricks")
    merged = lora.merge(load_adapter(base, path, "x"), "x")
    # The slow twin: each kernel by itself.
    ours, before = (weights.to_upstream(m, "diffusers") for m in (merged, base))
    for name, kernel in before.items():
        pair = pairs.get(name.removesuffix(".weight"))
        update = pair.b @ pair.a if pair and name.endswith(".weight") else 0
        np.testing.assert_allclose(ours[name], kernel + update, atol=1e-5)


def test_layers_of_another_model_and_missing_blocks_are_named(tmp_path):
    base, model = built("x")
    path, pairs = tmp_path / "a.safetensors", adapter_pairs(model, "x")
    query = "transformer_blocks.{}.attn1.to_q"
    save_pairs(path, pairs | {query.format(2): pairs[query.format(1)]})
    with pytest.raises(UserError, match=r"no layer 1 \(transformer_blocks.2.attn1"):
        load_adapter(base, path, "y")
    save_pairs(path, {k: p for k, p in pairs.items() if k != query.format(1)})
    with pytest.raises(UserError, match=r"1 \(transformer_blocks.1.attn1.to_q\) miss"):
        load_adapter(base, path, "y")


@pytest.mark.parametrize("layout", ["diffusers", "lightricks"])
def test_an_exported_adapter_comes_back_to_the_bit(tmp_path, layout):
    base, model = built("restorer")
    path = tmp_path / "a.safetensors"
    save_adapter(path, model, "restorer", layout=layout)
    loaded = load_adapter(base, path, "again")
    wanted = adapter_tensors(model, "restorer", layout=layout)
    assert_same(adapter_tensors(loaded, "again", layout=layout), wanted)


def assert_same(one, two):
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name], err_msg=name)


def test_a_fresh_adapter_is_the_same_on_blocks_one_by_one():
    wanted, got = (attached(base, "x") for base in (drawn(), unrolled()))
    assert_same(adapter_tensors(got, "x"), adapter_tensors(wanted, "x"))


def test_a_target_names_a_layer_of_all_blocks_or_of_one():
    def reached(targets):
        adapt = functools.partial(lora.attach, rank=2, alpha=2, targets=targets)
        model = adapt(unrolled(), name="x", rngs=nnx.Rngs(1))
        return list(lora.adapted_layers(model))

    assert reached(r"blocks\.ff\.up") == [f"blocks.{i}.ff.up" for i in range(2)]
    assert reached(r"blocks\.1\.ff\.up") == ["blocks.1.ff.up"]


def test_an_adapter_of_a_file_does_the_same_on_blocks_one_by_one(tmp_path):
    base, model = built("one")
    path = tmp_path / "a.safetensors"
    save_adapter(path, model, "one")
    both = load_adapter(attached(unrolled(), "other"), path, "one")
    stacked = load_adapter(base, path, "one")
    assert_same(adapter_tensors(both, "one"), adapter_tensors(stacked, "one"))
    np.testing.assert_allclose(velocity(both), velocity(stacked), atol=1e-5)
    off = lora.activate(both, "other")
    np.testing.assert_allclose(velocity(off), velocity(base), atol=1e-5)
    merged, wanted = (
        weights.to_upstream(lora.merge(m, "one"), "diffusers") for m in (both, stacked)
    )
    for name, tensor in wanted.items():  # Products of A and B in another order.
        np.testing.assert_allclose(merged[name], tensor, atol=1e-6, err_msg=name)


def test_half_an_adapter_is_refused_by_blocks_one_by_one(tmp_path):
    _, model = built("x")
    pairs = adapter_pairs(model, "x")
    half = {name: pair for name, pair in pairs.items() if "blocks.0." not in name}
    save_pairs(tmp_path / "a.safetensors", half)
    with pytest.raises(UserError, match="every block"):
        load_adapter(unrolled(), tmp_path / "a.safetensors", "y")


def test_several_files_add_up_with_their_scales(tmp_path):
    base, one = built("one")
    _, two = built("two")
    for index, (_, layer) in enumerate(lora.adapted_layers(two).items()):
        low = layer.adapters["two"]
        low.b[...] = jax.random.normal(jax.random.key(99 + index), low.b.shape) / 10
    paths = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    save_adapter(paths[0], one, "one")
    save_adapter(paths[1], two, "two")
    scales = [(paths[0], 0.5), (paths[1], -2.0)]
    pairs = adapter_pairs(load_adapters(base, scales, "sum"), "sum")
    first, second = adapter_pairs(one, "one"), adapter_pairs(two, "two")
    assert pairs.keys() == first.keys()
    for layer, pair in pairs.items():
        a, b = first[layer], second[layer]
        wanted = 0.5 * a.b @ a.a - 2 * b.b @ b.a
        np.testing.assert_allclose(pair.b @ pair.a, wanted, atol=1e-5)
