"""Adapters start as identity, train alone, live side by side, and merge exactly."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.models.ltx import weights
from aw_jax.models.ltx.config import PROBE
from aw_jax.nn import lora

TOKENS, WORDS = 12, 3


@pytest.fixture(scope="module")
def base():
    """Drawn with numpy: jax's own initialisation takes seconds to compile."""
    rng = np.random.default_rng(0)
    names = weights.tensor_names(PROBE, "diffusers").items()
    tensors = (
        (name, 0.3 * rng.standard_normal(weights.tensor_shape(PROBE, slot)))
        for name, slot in names
    )
    return weights.from_upstream(PROBE, tensors, "diffusers")


@pytest.fixture(scope="module")
def inputs():
    keys = jax.random.split(jax.random.key(1), 4)
    return (
        jax.random.normal(keys[0], (2, TOKENS, 128)),
        jax.random.uniform(keys[1], (2, TOKENS, 3)) * 100,
        jax.random.uniform(keys[2], (2, 1)),
        jax.random.normal(keys[3], (2, WORDS, 16)),
    )


@jax.jit
def call(model, *inputs):
    return model(*inputs)


def attached(base, name="one", seed=2, rank=4, alpha=8):
    return lora.attach(base, name=name, rank=rank, alpha=alpha, rngs=nnx.Rngs(seed))


def disturbed(tree, seed):
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    moved = [
        x + 0.1 * jax.random.normal(k, x.shape)
        for x, k in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(structure, moved)


def test_lora_starts_as_identity(base, inputs):
    np.testing.assert_array_equal(call(attached(base), *inputs), call(base, *inputs))


def test_adapters_sit_on_every_attention_and_feed_forward_projection(base):
    layers = lora.adapted_layers(attached(base))
    inside = ("to_k", "to_out", "to_q", "to_v")
    expected = [f"blocks.attn{i}.{name}" for i in (1, 2) for name in inside]
    assert sorted(layers) == [*expected, "blocks.ff.down", "blocks.ff.up"]
    up = layers["blocks.ff.up"].adapters["one"]
    assert up.a.shape == (2, 32, 4)
    assert up.b.shape == (2, 4, 128)


def test_the_first_matrix_is_kaiming_uniform(base):
    layers = lora.adapted_layers(attached(base, rank=64))
    a = np.asarray(layers["blocks.ff.down"].adapters["one"].a[...])
    bound = 128**-0.5
    assert np.abs(a).max() <= bound
    np.testing.assert_allclose(a.std(), bound / 3**0.5, rtol=0.02)


def test_attaching_leaves_the_base_alone(base, inputs):
    before = call(base, *inputs)
    attached(base)
    assert not lora.adapted_layers(base)
    np.testing.assert_array_equal(call(base, *inputs), before)


@functools.partial(jax.jit, static_argnums=0)
def gradient(graphdef, adapter, frozen, inputs):
    def loss(adapter):
        return jnp.sum(lora.join(graphdef, adapter, frozen)(*inputs) ** 2)

    return jax.grad(loss)(adapter)


def test_training_moves_the_adapter_and_not_one_bit_of_the_base(base, inputs):
    graphdef, begun, frozen = lora.split(attached(base), "one")
    original, adapter = jax.tree.map(np.array, frozen), begun
    for _ in range(2):
        grads = gradient(graphdef, adapter, frozen, inputs)
        adapter = jax.tree.map(lambda a, g: a - 1e-3 * g, adapter, grads)
    jax.tree.map(np.testing.assert_array_equal, frozen, original)
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), adapter, begun)
    assert all(jax.tree.leaves(moved))


def test_the_gradient_of_the_first_matrix_is_zero_while_the_second_is(base, inputs):
    graphdef, adapter, frozen = lora.split(attached(base), "one")
    grads = gradient(graphdef, adapter, frozen, inputs)
    flat = {jax.tree_util.keystr(p): g for p, g in jax.tree.leaves_with_path(grads)}
    assert len(flat) == 20
    for path, grad in flat.items():
        assert bool(jnp.any(grad != 0)) == path.endswith("['b']"), path


def test_two_adapters_share_one_base_and_switch(base, inputs):
    model = attached(attached(base, "one", 2), "two", 3)
    graphdef, first, frozen = lora.split(model, "one")
    first = disturbed(first, 5)
    alone = lora.join(graphdef, first, frozen)
    # The second joins a model whose first is trained, and neither sees the other.
    both = attached(alone, "two", 3)
    np.testing.assert_array_equal(call(both, *inputs), call(base, *inputs))
    switched = call(lora.activate(both, "one"), *inputs)
    np.testing.assert_array_equal(switched, call(alone, *inputs))
    assert jnp.abs(switched - call(base, *inputs)).max() > 1e-3
    np.testing.assert_array_equal(
        call(lora.activate(both, None), *inputs), call(base, *inputs)
    )


def test_split_hands_out_no_other_adapter(base):
    model = attached(attached(base, "one", 2), "two", 3)
    _, adapter, frozen = lora.split(model, "one")
    paths = jax.tree_util.tree_map_with_path(
        lambda p, _: jax.tree_util.keystr(p), frozen
    )
    assert not [p for p in jax.tree.leaves(paths) if "adapters" in p]
    assert len(jax.tree.leaves(adapter)) == 20


def test_merging_equals_running_with_the_adapter(base, inputs):
    graphdef, adapter, frozen = lora.split(attached(base), "one")
    model = lora.join(graphdef, disturbed(adapter, 5), frozen)
    merged = lora.merge(model, "one")
    assert not lora.adapted_layers(merged)
    assert nnx.graphdef(merged) == nnx.graphdef(base)
    # Float32 sums in another order.
    np.testing.assert_allclose(call(merged, *inputs), call(model, *inputs), atol=2e-5)


def test_alpha_over_rank_scales_the_update(base, inputs):
    outputs = []
    for alpha, factor in ((4, 2), (8, 1)):
        graphdef, adapter, frozen = lora.split(attached(base, alpha=alpha), "one")
        moved = jax.tree_util.tree_map_with_path(
            lambda path, x, f=factor: x * f if path[-1].key == "b" else x,
            disturbed(adapter, 5),
        )
        outputs.append(call(lora.join(graphdef, moved, frozen), *inputs))
    # Powers of two: half the alpha and twice the B are the same to the last bit.
    np.testing.assert_array_equal(*outputs)


def test_a_target_that_matches_nothing_is_refused(base):
    with pytest.raises(ValueError, match="no Linear layer matches"):
        lora.attach(base, name="x", rank=2, alpha=2, rngs=nnx.Rngs(0), targets="nope")


def test_a_name_that_is_taken_and_a_name_that_is_unknown_are_refused(base):
    with pytest.raises(ValueError, match="already has an adapter 'one'"):
        attached(attached(base))
    with pytest.raises(ValueError, match="no adapter 'two'"):
        lora.activate(attached(base), "two")
