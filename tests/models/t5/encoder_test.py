"""Laws of the encoder, and its slow twin; upstream's values are in the goldens."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.core.errors import UserError
from aw_jax.models.t5 import config as config_io
from aw_jax.models.t5 import weights
from aw_jax.models.t5.encoder import SelfAttention, position_buckets

IDS = np.array([[5, 9, 1, 0, 0, 0, 0], [3, 2, 61, 7, 30, 8, 1]])
LENGTHS = np.array([3, 7])


@jax.jit
def run(model, ids, lengths):
    return model(jnp.asarray(ids), jnp.asarray(lengths))


@pytest.fixture(scope="module")
def models(tiny):
    """{t5_mask: encoder}."""
    found = {}
    for mask in (True, False):
        config = dataclasses.replace(tiny.config, t5_mask=mask)
        found[mask] = weights.from_upstream(config, tiny.draw(config).items())
    return found


def rms(x, gain):
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6) * gain


def gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def bucket(offset):
    """By its definition: 8 + floor(8 log(d / 8) / log 16), 16 more for what follows."""
    distance = abs(offset)
    if distance >= 8:
        # floor(2 log2(d / 8)) without a logarithm: the last j with d^2 >= 64 2^j.
        distance = 8 + max(j for j in range(40) if distance**2 >= 64 * 2**j)
    return min(distance, 15) + (16 if offset > 0 else 0)


def slow(tensors, config, ids, length):
    """One prompt in float64, by loops over blocks, heads and tokens."""
    t = {name: array.astype(np.float64) for name, array in tensors.items()}
    table = t["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    tokens, heads, e = len(ids), config.heads, config.head_dim
    seen = range(length if config.t5_mask else tokens)
    x = t["shared.weight"][ids]
    for layer in range(config.layers):
        at = f"encoder.block.{layer}.layer"
        h = rms(x, t[f"{at}.0.layer_norm.weight"])
        q, k, v, o = (t[f"{at}.0.SelfAttention.{n}.weight"] for n in "qkvo")
        read = np.zeros((tokens, heads * e))
        for head in range(heads):
            own = slice(head * e, (head + 1) * e)
            for i in range(tokens):
                scores = [
                    (q[own] @ h[i]) @ (k[own] @ h[j]) + table[bucket(j - i), head]
                    for j in seen
                ]
                chance = np.exp(np.array(scores) - max(scores))
                values = np.array([v[own] @ h[j] for j in seen])
                read[i, own] = chance @ values / chance.sum()
        x = x + read @ o.T
        h = rms(x, t[f"{at}.1.layer_norm.weight"])
        gate, up, down = (
            t[f"{at}.1.DenseReluDense.{n}.weight"] for n in ("wi_0", "wi_1", "wo")
        )
        x = x + (gelu(h @ gate.T) * (h @ up.T)) @ down.T
    return rms(x, t["encoder.final_layer_norm.weight"])


@pytest.mark.parametrize("mask", [True, False])
def test_embeddings_equal_the_slow_twin(models, tiny, mask):
    got = run(models[mask], IDS, LENGTHS)
    assert got.dtype == jnp.float32
    for row, ids, length in zip(got, IDS, LENGTHS, strict=True):
        wanted = slow(tiny.draw(), models[mask].config, ids, length)
        np.testing.assert_allclose(row, wanted, atol=1e-4)


def test_padding_is_read_only_without_the_mask(models):
    other = np.where(IDS == 0, 44, IDS)
    for mask, model in models.items():
        change = abs(run(model, IDS, LENGTHS) - run(model, other, LENGTHS))
        assert (change[0, :3].max() == 0) == mask
        np.testing.assert_array_equal(change[1], 0)


def test_the_mask_changes_real_tokens_of_short_prompts_only(models):
    masked, whole = (run(models[mask], IDS, LENGTHS) for mask in (True, False))
    assert abs(masked - whole)[0, :3].max() > 0.1
    np.testing.assert_array_equal(masked[1], whole[1])


def test_every_token_reads_both_sides(models):
    other = IDS.copy()
    other[1, 3] = 50
    change = abs(run(models[True], IDS, LENGTHS) - run(models[True], other, LENGTHS))
    assert (change[1].max(axis=-1) > 0).all()
    np.testing.assert_array_equal(change[0], 0)


def test_buckets_equal_their_definition(tiny):
    got = position_buckets(200, tiny.config)
    wanted = [[bucket(j - i) for j in range(200)] for i in range(200)]
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 0}, "layers must be at least 1, got 0"),
        ({"buckets": 6}, "buckets must be a positive multiple of 4, got 6"),
        ({"max_distance": 8}, "max_distance must be more than buckets / 4 = 8, got 8"),
    ],
)
def test_configs_say_what_is_wrong(tiny, changes, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(tiny.config, **changes)


def test_other_kinds_of_t5_are_refused(tiny):
    entry = {"num_layers": 2, "d_model": 8}
    with pytest.raises(UserError, match="as d_ff, d_kv, num_heads, vocab_size, got"):
        config_io.from_upstream(entry, t5_mask=True)
    entry = dict.fromkeys(("num_layers", "d_model", "d_ff", "d_kv", "num_heads"), 4)
    with pytest.raises(UserError, match=r"as vocab_size, got \['many'\]"):
        config_io.from_upstream(entry | {"vocab_size": "many"}, t5_mask=True)
    with pytest.raises(UserError, match=r"expected 'gated-gelu'.*got 'relu'"):
        config_io.from_upstream(entry | {"vocab_size": 4}, t5_mask=True)


def test_fresh_questions_make_up_for_the_missing_scale(tiny):
    fresh = SelfAttention(tiny.config, rngs=nnx.Rngs(0))
    ratio = fresh.k.kernel[...].std() / fresh.q.kernel[...].std()
    assert ratio == pytest.approx(tiny.config.head_dim**0.5, rel=0.2)
