"""The C++ attention equals the definition in float64, in values and gradients.

Tolerances leave an order of magnitude over float32 rounding of sums of a few hundred.
"""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.native import build
from aw_jax.nn import native_attention, softmax_attention
from aw_jax.nn.native_attention import TILE
from aw_jax.nn.softmax_attention import attend, plain_attention

pytestmark = pytest.mark.skipif(
    not native_attention.available(), reason="needs a C++ compiler"
)


def drawn(m, n, heads=3, e=8, samples=2, seed=0):
    draw = np.random.default_rng(seed).standard_normal
    shapes = [(samples, x, heads, e) for x in (m, n, n, m)]
    return [draw(shape, np.float32) for shape in shapes]


def dense(q, k, v, d_out, lengths=None):
    """Output and gradients of one head after the other, in numpy's float64."""
    q, k, v, d_out = (x.astype(np.float64) for x in (q, k, v, d_out))
    out, d_q, d_k, d_v = (np.zeros_like(x) for x in (q, q, k, v))
    scale = q.shape[-1] ** -0.5
    for b, h in np.ndindex(q.shape[0], q.shape[2]):
        seen = np.s_[b, : k.shape[1] if lengths is None else lengths[b], h]
        own = np.s_[b, :, h]
        s = scale * q[own] @ k[seen].T
        p = np.exp(s - s.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        out[own] = p @ v[seen]
        d_p = d_out[own] @ v[seen].T
        d_s = scale * p * (d_p - (p * d_p).sum(axis=1, keepdims=True))
        d_q[own], d_k[seen], d_v[seen] = d_s @ k[seen], d_s.T @ q[own], p.T @ d_out[own]
    return out, d_q, d_k, d_v


def run(q, k, v, d_out, lengths=None, kernel="native"):
    lengths = None if lengths is None else jnp.array(lengths)
    work = lambda q, k, v: attend(q, k, v, lengths=lengths, kernel=kernel)
    out, pull = jax.vjp(work, *(jnp.asarray(x) for x in (q, k, v)))
    return out, *pull(jnp.asarray(d_out))


def assert_matches_dense(inputs, lengths=None):
    for got, wanted in zip(run(*inputs, lengths), dense(*inputs, lengths), strict=True):
        np.testing.assert_allclose(got, wanted, atol=3e-5)


# Less than a tile; whole ones; several with a rest; odd widths, and one of many panels.
@pytest.mark.parametrize(
    ("m", "n", "e"), [(5, 9, 8), (96, 192, 64), (203, 131, 24), (97, 1000, 13)]
)
def test_values_and_gradients_equal_the_definition(m, n, e):
    assert_matches_dense(drawn(m, n, e=e))


@pytest.mark.parametrize("lengths", [(200, 1), (96, 97), (95, 176)])
def test_lengths_hide_the_keys_behind_them(lengths):
    inputs = drawn(100, 200)
    assert_matches_dense(inputs, lengths)
    d_k = run(*inputs, lengths)[2]
    assert not np.any(d_k[0, lengths[0] :])


def test_heads_enough_for_one_task_each_match():
    assert_matches_dense(drawn(20, 110, heads=9))


def test_large_scores_stay_finite():
    q, k, v, d_out = drawn(110, 230)
    steep = (100 * q, k, v, d_out)  # scores of hundreds, of which rounding is 3e-5
    for got, wanted in zip(run(*steep), dense(*steep), strict=True):
        assert np.linalg.norm(got - wanted) < 1e-4 * np.linalg.norm(wanted)
    assert all(np.all(np.isfinite(x)) for x in run(1000 * q, 1000 * k, v, d_out))


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf])
def test_what_is_not_finite_stays_so(value):
    q, k, v, d_out = drawn(7, 100)
    k[0, 3, 0, 0] = value
    out = run(q, k, v, d_out)[0]
    assert np.all(np.isnan(out[0, :, 0]) | (value == np.inf))
    assert not np.all(np.isfinite(out[0, :, 0]))
    assert np.all(np.isfinite(out[1]))


def test_vmap_scan_and_checkpoint_change_nothing():
    batch = drawn(100, 110, samples=4)
    wanted = run(*batch)[:2]
    split = [x.reshape(2, 2, *x.shape[1:]) for x in batch]

    def both(q, k, v, d_out):
        loss = jax.checkpoint(
            lambda q: (attend(q, k, v, kernel="native") * d_out).sum()
        )
        return attend(q, k, v, kernel="native"), jax.grad(loss)(q)

    scanned = lambda *x: jax.lax.scan(lambda _, x: (None, both(*x)), None, x)[1]
    for many in (jax.vmap(both), scanned):
        for got, whole in zip(jax.jit(many)(*split), wanted, strict=True):
            np.testing.assert_allclose(got.reshape(whole.shape), whole, atol=1e-6)


def test_memory_of_the_gradient_grows_with_tokens_not_their_square():
    def temporary(m):
        shape = jax.ShapeDtypeStruct((1, m, 1, 8), jnp.float32)
        loss = lambda q, k, v: attend(q, k, v, kernel="native").sum()
        grad = jax.jit(jax.grad(loss, (0, 1, 2)))
        analysis = grad.lower(shape, shape, shape).compile().memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    assert temporary(320 * TILE) / temporary(80 * TILE) < 4.1


def picked(q):
    return softmax_attention._pick(q, q)


def test_auto_takes_it_for_long_float32_on_one_device(monkeypatch):
    long = jnp.zeros((1, 300, 1, 8))
    assert picked(long) == "native"
    assert picked(long[:, :256]) == "plain"
    assert picked(long.astype(jnp.bfloat16)) == "rows"
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    assert picked(long) == "rows"


def test_without_a_compiled_kernel_auto_takes_rows(monkeypatch):
    monkeypatch.setenv("AW_JAX_NO_NATIVE", "1")
    for cached in (native_attention.available, build.library):
        cached.cache_clear()
    try:
        q, k, v, _ = (jnp.asarray(x) for x in drawn(300, 300, heads=1))
        assert picked(q) == "rows"
        np.testing.assert_allclose(attend(q, k, v), plain_attention(q, k, v), atol=1e-5)
        with pytest.raises(UserError, match="install g"):
            attend(q, k, v, kernel="native")
    finally:
        for cached in (native_attention.available, build.library):
            cached.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_every_lane_width_compiles_and_those_that_run_here_agree(lanes, at_lanes):
    if at_lanes(native_attention, lanes):
        assert_matches_dense(drawn(203, 131, e=24), (131, 60))


def fingerprint():
    """A hash of all output bits where each head has several tasks."""
    digest = hashlib.sha256()
    for x in run(*drawn(500, 900, heads=2, e=16), (900, 450)):
        digest.update(np.asarray(x).tobytes())
    return digest.hexdigest()


def test_one_thread_gives_the_same_bits_as_many(on_one_processor):
    assert on_one_processor(__file__, "fingerprint") == fingerprint()
