"""Attention by rows equals the definition, in values and gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.nn import row_attention
from aw_jax.nn.row_attention import ROWS
from aw_jax.nn.softmax_attention import attend, plain_attention


def drawn(m, n, e=8, seed=0):
    keys = jax.random.split(jax.random.key(seed), 4)
    shapes = [(2, m, 3, e), (2, n, 3, e), (2, n, 3, e), (2, m, 3, e)]
    return [jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)]


# Two full blocks; two of which the last is filled up; all keys, or not.
@pytest.mark.parametrize(("m", "n"), [(96, 12), (61, 40)])
@pytest.mark.parametrize("lengths", [None, (9, 4)])
def test_rows_equal_the_definition_with_gradients(m, n, lengths, monkeypatch):
    monkeypatch.setattr(row_attention, "ROWS", 48)
    monkeypatch.setattr(row_attention, "SCORES", 0)
    q, k, v, weight = drawn(m, n)
    lengths = None if lengths is None else jnp.array(lengths)

    @functools.partial(jax.jit, static_argnames="kernel")
    def value_and_grads(q, k, v, *, kernel):
        def loss(q, k, v):
            out = attend(q, k, v, kernel=kernel, lengths=lengths)
            return (out * weight).sum(), out

        return jax.grad(loss, (0, 1, 2), has_aux=True)(q, k, v)

    got, wanted = (value_and_grads(q, k, v, kernel=x) for x in ("rows", "plain"))
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=2e-5), got, wanted)


def test_large_scores_stay_finite():
    q, k, v, _ = drawn(7, 6)
    got = attend(100 * q, 100 * k, v, kernel="rows")
    np.testing.assert_allclose(got, plain_attention(100 * q, 100 * k, v), atol=1e-4)


def test_bfloat16_keeps_its_type_and_its_sums_in_float32():
    q, k, v, _ = (x.astype(jnp.bfloat16) for x in drawn(20, 30))
    got, wanted = attend(q, k, v, kernel="rows"), plain_attention(q, k, v)
    assert got.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        got.astype(jnp.float32), wanted.astype(jnp.float32), atol=2e-2
    )


def test_memory_of_the_gradient_grows_with_tokens_not_their_square():
    def temporary(m):
        shape = jax.ShapeDtypeStruct((1, m, 1, 8), jnp.float32)
        loss = lambda q, k, v: row_attention.row_attention(q, k, v).sum()
        grad = jax.jit(jax.grad(loss, (0, 1, 2)))
        analysis = grad.lower(shape, shape, shape).compile().memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    assert temporary(8 * ROWS) / temporary(2 * ROWS) < 5


def test_lengths_hide_the_keys_behind_them():
    q, k, v, _ = drawn(5, 9)
    got = attend(q, k, v, lengths=jnp.array([4, 9]))
    wanted = plain_attention(q[:1], k[:1, :4], v[:1, :4])
    np.testing.assert_allclose(got[:1], wanted, atol=1e-6)
