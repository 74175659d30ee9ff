"""Guided sampling against the ltx-video wheel's outputs (scripts/goldens)."""

import functools
import json
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.models.ltx import config as ltx
from aw_jax.models.ltx import weights
from aw_jax.models.ltx.positions import coordinates
from aw_jax.nn.perturbation import Perturbation

GOLDEN = Path(__file__).parents[2] / "golden/ltx_sampling"
SEED = json.loads(GOLDEN.with_suffix(".json").read_text())["seed"]
STRIDE, TOKENS = 7, 60
KINDS = ["attention_values", "attention_skip", "transformer_block"]
ROWS = np.array([[False, True], [True, False]])


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(GOLDEN.with_suffix(".npz")))


def assert_equals(golden, name, got):
    got = np.asarray(got)
    np.testing.assert_allclose(got[:, ::STRIDE], golden[f"{name}.strided"], atol=1e-5)
    whole = [got.mean(dtype=np.float64), np.linalg.norm(got.astype(np.float64))]
    np.testing.assert_allclose(whole, golden[f"{name}.whole"], atol=1e-5, rtol=1e-6)


def draw(name, shape):
    """As scripts/goldens/ltx_transformer.py draws it."""
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
    values = rng.standard_normal(shape)
    if "norm" in name:
        values = 1 + 0.3 * values
    elif name.endswith("weight"):
        values = values / np.sqrt(shape[-1])
    else:
        values = 0.5 * values
    return values.astype(np.float32)


@functools.cache
def transformer(layers=2):
    config = ltx.TransformerConfig(
        layers=layers,
        heads=4,
        head_dim=16,
        caption_channels=32,
        in_channels=8,
        out_channels=8,
        rope_time="causal",
    )
    slots = weights.tensor_names(config, "lightricks").items()
    shapes = ((name, weights.tensor_shape(config, slot)) for name, slot in slots)
    tensors = ((name, draw(name, shape)) for name, shape in shapes)
    return weights.from_upstream(config, tensors, "lightricks")


@jax.jit
def run(model, perturbation):
    levels = np.random.default_rng([SEED, TOKENS]).uniform(size=(2, TOKENS))
    return model(
        jnp.asarray(draw("input.tokens", (2, TOKENS, 8))),
        coordinates(5, 3, 4, fps=25, rope_time="causal")[None],
        jnp.asarray(levels, jnp.float32),
        jnp.asarray(draw("input.text", (2, 7, 32))),
        text_lengths=jnp.array([5, 7]),
        perturbation=perturbation,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_perturbed_velocity_equals_the_wheel(golden, kind):
    got = run(transformer(), Perturbation(rows=jnp.asarray(ROWS), kind=kind))
    assert_equals(golden, f"perturbed.{kind}", got)


def test_rows_and_blocks_are_data_and_none_of_them_is_the_plain_network():
    """One program serves every choice of rows; without any the values stay."""
    runs = jax.jit(lambda model, rows: run.__wrapped__(model, rows))
    plain = run(transformer(), None)
    got = runs(transformer(), Perturbation(rows=jnp.zeros((2, 2), bool)))
    np.testing.assert_allclose(got, plain, atol=1e-6)
    one = runs(transformer(), Perturbation(rows=jnp.asarray(ROWS & [True, False])))
    assert runs._cache_size() == 1
    np.testing.assert_array_equal(one[1], got[1])
    assert jnp.abs(one[0] - got[0]).max() > 1e-3
