import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.nn import convolution
from aw_jax.nn.convolution import Conv3d, correlate, correlate_strided, pad_time


def xla_convolution(x, kernel):
    space = [(size // 2, size // 2) for size in kernel.shape[1:3]]
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1, 1),
        padding=[(0, 0), *space],
        dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
        precision="highest",
    )


def example(size=(3, 3, 3)):
    x = jax.random.normal(jax.random.key(0), (2, 5, 6, 7, 4))
    kernel = jax.random.normal(jax.random.key(1), (*size, 4, 3))
    return x, kernel


@pytest.mark.parametrize("size", [(3, 3, 3), (1, 3, 5)])
def test_correlation_equals_the_three_dimensional_one(size):
    x, kernel = example(size)
    want = xla_convolution(x, kernel)
    np.testing.assert_allclose(correlate(x, kernel), want, atol=2e-5)


@pytest.mark.parametrize("size", [(3, 3, 3), (1, 3, 5)])
def test_gradients_equal_those_of_the_three_dimensional_one(size):
    x, kernel = example(size)
    y, pull = jax.vjp(correlate, x, kernel)
    _, pull_want = jax.vjp(xla_convolution, x, kernel)
    cotangent = jax.random.normal(jax.random.key(2), y.shape)
    for found, want in zip(pull(cotangent), pull_want(cotangent), strict=True):
        # Sums of up to 300 products of unit normals.
        np.testing.assert_allclose(found, want, atol=1e-4)


@pytest.fixture
def paired(monkeypatch):
    monkeypatch.setattr(convolution, "_SMALL", 0)


@pytest.mark.parametrize("frames", [2, 3])
def test_frames_by_pairs_give_the_three_dimensional_correlation(paired, frames):
    x, kernel = example()
    x = x[:, : frames + 2]
    y, pull = jax.vjp(correlate, x, kernel)
    want, pull_want = jax.vjp(xla_convolution, x, kernel)
    np.testing.assert_allclose(y, want, atol=2e-5)
    assert not np.array_equal(y, convolution._correlate_taps(x, kernel))
    for found, want in zip(pull(y), pull_want(y), strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=2e-3)


def test_frames_by_pairs_see_no_other_frame(paired):
    x, _ = example()
    layer = Conv3d(4, 3, causal=True, rngs=nnx.Rngs(0))
    for seen in range(1, 5):
        changed = x.at[:, seen:].set(jnp.inf)
        np.testing.assert_array_equal(layer(x)[:, :seen], layer(changed)[:, :seen])


def test_16_bit_types_go_by_taps(paired):
    x, kernel = (a.astype(jnp.bfloat16) for a in example())
    taps = convolution._correlate_taps(x, kernel)
    np.testing.assert_array_equal(correlate(x, kernel), taps)


@pytest.mark.parametrize("stride", [(2, 2, 2), (1, 2, 3)])
def test_a_strided_correlation_leaves_out_frames_rows_and_columns(stride):
    x, kernel = example()
    t, s, r = stride
    want = correlate(x, kernel)[:, ::t, ::s, ::r]
    np.testing.assert_allclose(correlate_strided(x, kernel, stride), want, atol=1e-5)


def test_a_strided_layer_keeps_the_first_frame_and_every_second_after_it():
    x, _ = example()
    layer = Conv3d(4, 3, causal=True, rngs=nnx.Rngs(0), stride=(2, 2, 2))
    dense = Conv3d(4, 3, causal=True, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(layer(x), dense(x)[:, ::2, ::2, ::2], atol=1e-5)


def test_a_layer_of_size_one_is_a_matrix_product():
    x, _ = example()
    layer = Conv3d(4, 3, causal=True, rngs=nnx.Rngs(0), size=1)
    np.testing.assert_allclose(layer(x), x @ layer.kernel[...][0, 0, 0], atol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
def test_a_layer_keeps_frames_rows_and_columns(causal):
    layer = Conv3d(4, 3, causal=causal, rngs=nnx.Rngs(0))
    assert layer(example()[0]).shape == (2, 5, 6, 7, 3)


def test_a_causal_layer_sees_no_later_frame():
    x, _ = example()
    layer = Conv3d(4, 3, causal=True, rngs=nnx.Rngs(0))
    changed = x.at[:, 3:].set(0)
    np.testing.assert_array_equal(layer(x)[:, :3], layer(changed)[:, :3])


def test_a_centred_layer_sees_one_frame_to_each_side():
    x, _ = example()
    layer = Conv3d(4, 3, causal=False, rngs=nnx.Rngs(0))
    moved = jnp.abs(layer(x) - layer(x.at[:, 3].add(1))).max(axis=(0, 2, 3, 4)) > 1e-3
    np.testing.assert_array_equal(moved, [False, False, True, True, True])


def test_time_is_padded_by_the_end_frames():
    x, _ = example()
    causal = pad_time(x, taps=3, causal=True)
    centred = pad_time(x, taps=3, causal=False)
    np.testing.assert_array_equal(causal, x[:, [0, 0, 0, 1, 2, 3, 4]])
    np.testing.assert_array_equal(centred, x[:, [0, 0, 1, 2, 3, 4, 4]])


def test_a_layer_computes_in_the_type_of_its_input():
    layer = Conv3d(4, 3, causal=True, rngs=nnx.Rngs(0))
    assert layer(example()[0].astype(jnp.bfloat16)).dtype == jnp.bfloat16
