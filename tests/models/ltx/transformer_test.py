"""Laws of the diffusion transformer; its values are held by the goldens."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import config as ltx
from aw_jax.models.ltx import weights
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.nn.initialize import initialized
from aw_jax.nn.layers import as_stacks, from_stacks

SEGMENTS = (8, 4, 4)
TOKENS, WORDS = 16, 5
LEVELS = np.array([[0.2], [0.9]], np.float32)


def model(**changes):
    """Drawn with numpy: jax's own initialisation takes seconds to compile."""
    config = dataclasses.replace(ltx.PROBE, **changes)
    rng = np.random.default_rng(0)
    names = weights.tensor_names(config, "diffusers").items()
    tensors = (
        (name, 0.3 * rng.standard_normal(weights.tensor_shape(config, slot)))
        for name, slot in names
    )
    return weights.from_upstream(config, tensors, "diffusers")


@pytest.fixture(scope="module")
def probe():
    return model()


@pytest.fixture(scope="module")
def inputs():
    keys = jax.random.split(jax.random.key(1), 3)
    return {
        "tokens": jax.random.normal(keys[0], (2, TOKENS, 128)),
        "coords": jax.random.uniform(keys[1], (2, TOKENS, 3)) * 100,
        "text": jax.random.normal(keys[2], (2, WORDS, 16)),
    }


@functools.partial(jax.jit, static_argnames="segments")
def run(model, inputs, timesteps, *, segments=None, text_lengths=None):
    timesteps = jnp.asarray(timesteps)
    kwargs = {"segments": segments, "text_lengths": text_lengths}
    return model(timesteps=timesteps, **inputs, **kwargs)


def test_a_constant_level_per_token_equals_one_level_for_all(probe, inputs):
    level = np.array([[0.3], [0.8]], np.float32)
    each = np.repeat(level, TOKENS, axis=1)
    got, wanted = run(probe, inputs, level), run(probe, inputs, each)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_levels_by_segment_equal_levels_by_token(probe, inputs):
    levels = np.array([[0.0, 0.7, 0.2], [0.0, 0.1, 1.0]], np.float32)
    by_segment = run(probe, inputs, levels, segments=SEGMENTS)
    by_token = run(probe, inputs, np.repeat(levels, SEGMENTS, axis=1))
    np.testing.assert_allclose(by_segment, by_token, atol=1e-6)


def test_permuting_segment_levels_changes_the_output(probe, inputs):
    inputs = jax.tree.map(lambda x: x[:1], inputs)
    right = run(probe, inputs, [[0.0, 0.9, 0.0]], segments=SEGMENTS)
    wrong = run(probe, inputs, [[0.9, 0.0, 0.0]], segments=SEGMENTS)
    assert jnp.abs(right - wrong).max() > 1e-3


def test_every_token_sees_every_other_of_its_sample(probe, inputs):
    def other(tokens):
        return run(probe, inputs | {"tokens": tokens}, LEVELS)

    moved = inputs["tokens"].at[0, 3].add(1.0)
    change = jnp.abs(other(moved) - other(inputs["tokens"])).sum(axis=-1)
    assert (change[0] > 0).all()
    np.testing.assert_array_equal(change[1], 0)


def test_words_beyond_the_length_are_not_read(probe, inputs):
    lengths = jnp.array([3, 5])
    kept = run(probe, inputs, LEVELS, text_lengths=lengths)
    other = inputs | {"text": inputs["text"].at[:, 3:].set(7.0)}
    changed = run(probe, other, LEVELS, text_lengths=lengths)
    np.testing.assert_array_equal(kept[0], changed[0])
    assert jnp.abs(kept[1] - changed[1]).max() > 1e-4


def test_checkpointed_blocks_keep_values_and_gradients(probe, inputs):
    @jax.jit
    def value_and_grad(model):
        return jax.value_and_grad(lambda m: (run(m, inputs, LEVELS) ** 2).mean())(model)

    wanted, wanted_grads = value_and_grad(probe)
    got, got_grads = value_and_grad(model(remat=True))
    np.testing.assert_allclose(got, wanted, rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        nnx.to_pure_dict(nnx.state(got_grads)),
        nnx.to_pure_dict(nnx.state(wanted_grads)),
    )


def test_unrolled_blocks_keep_values(probe, inputs):
    config = dataclasses.replace(ltx.PROBE, unroll=True)
    tensors = weights.to_upstream(probe, "diffusers")
    other = weights.from_upstream(config, tensors.items(), "diffusers")
    got, wanted = (run(m, inputs, LEVELS) for m in (other, probe))
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    back = weights.to_upstream(other, "diffusers")
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(back[name], tensor)


def test_both_forms_of_the_blocks_start_from_the_same_draws():
    def params(unroll):
        config = dataclasses.replace(ltx.PROBE, unroll=unroll)
        build = lambda: Transformer(config, rngs=nnx.Rngs(0))
        return nnx.to_pure_dict(nnx.state(initialized(build)))

    stacked, single = params(False), params(True)
    # Two programs, which may round the last bit of a draw apart.
    close = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    jax.tree.map(close, as_stacks(single), stacked)
    again = from_stacks(as_stacks(single), like=single)
    jax.tree.map(np.testing.assert_array_equal, again, single)


def test_bfloat16_stays_close_to_float32(probe, inputs):
    low = model(dtype="bfloat16", param_dtype="bfloat16")
    got, wanted = (run(m, inputs, LEVELS) for m in (low, probe))
    assert got.dtype == jnp.bfloat16
    cosine = jnp.sum(got * wanted) / jnp.sqrt(jnp.sum(got**2.0) * jnp.sum(wanted**2))
    assert cosine > 0.9995


@pytest.mark.parametrize(
    ("config", "parameters"),
    [(ltx.LTX_13B, 13_042_569_344), (ltx.LTX_2B, 1_923_385_472)],
)
def test_full_sizes_count_the_published_parameters(config, parameters):
    state = jax.eval_shape(lambda: nnx.state(Transformer(config, rngs=nnx.Rngs(0))))
    assert sum(x.size for x in jax.tree.leaves(state)) == parameters


def test_segments_that_do_not_cover_the_tokens_are_refused(probe, inputs):
    with pytest.raises(ValueError, match="sum to 16 tokens"):
        run(probe, inputs, [[0.0, 1.0]] * 2, segments=(8, 4))
    with pytest.raises(ValueError, match="3 columns"):
        run(probe, inputs, [[0.0, 1.0, 0.0]] * 2)


def test_configs_say_what_is_wrong():
    with pytest.raises(UserError, match="head_dim must be an even number, got 15"):
        model(head_dim=15)
    with pytest.raises(UserError, match="multiple of head_dim=64, got 100"):
        ltx.tiny(width=100)


def test_upstream_metadata_round_trips():
    config = ltx.tiny(width=128, layers=3, unroll=False, rope_time="causal")
    assert ltx.from_upstream(ltx.to_upstream(config)) == config
    silent = {k: v for k, v in ltx.to_upstream(config).items() if "causal" not in k}
    assert ltx.from_upstream(silent).rope_time == "plain"
    with pytest.raises(UserError, match="num_layers"):
        ltx.from_upstream({"num_attention_heads": 2})
