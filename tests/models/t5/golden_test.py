"""The encoder against transformers' outputs (scripts/goldens/t5.py)."""

import functools
import hashlib
import json
import math
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.models.t5 import weights
from aw_jax.models.t5.config import T5_XXL, T5Config
from aw_jax.models.t5.encoder import position_buckets

GOLDEN = Path(__file__).parents[2] / "golden/t5"
PROVENANCE = json.loads(GOLDEN.with_suffix(".json").read_text())
TOKENS, LENGTHS = 150, (1, 37, 150)


def config_of(**changes):
    return T5Config(
        layers=3, heads=6, head_dim=8, width=32, hidden=48, vocabulary=100, **changes
    )


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(GOLDEN.with_suffix(".npz")))


def draw(name, shape):
    """As scripts/goldens/t5.py draws it."""
    rng = np.random.default_rng([PROVENANCE["seed"], zlib.crc32(name.encode())])
    values = rng.standard_normal(shape)
    if "norm" in name:
        values = 1 + 0.3 * values
    elif name == "shared.weight":
        values = values * np.logspace(-4, 0, len(values))[:, None]
    elif "relative_attention_bias" not in name:
        values = values / np.sqrt(shape[-1])
    return values.astype(np.float32)


def ids():
    rng = np.random.default_rng([PROVENANCE["seed"], zlib.crc32(b"input.ids")])
    drawn = rng.integers(2, 100, (len(LENGTHS), TOKENS))
    counts = np.arange(TOKENS)
    last = np.array(LENGTHS)[:, None] - 1
    return jnp.asarray(np.where(counts < last, drawn, counts == last))


@functools.cache
def output(**changes):
    config = config_of(**changes)
    slots = weights.tensor_names(config).items()
    shapes = ((name, weights.tensor_shape(config, slot)) for name, slot in slots)
    model = weights.from_upstream(config, ((n, draw(n, shape)) for n, shape in shapes))
    run = jax.jit(lambda model, ids, lengths: model(ids, lengths))
    return np.asarray(run(model, ids(), jnp.asarray(LENGTHS)), np.float64)


@pytest.mark.parametrize("kind", ["masked", "unmasked"])
def test_embeddings_equal_upstream(golden, kind):
    got = output(t5_mask=kind == "masked")
    np.testing.assert_allclose(got[:, ::7, ::3], golden[f"{kind}.strided"], atol=1e-4)
    mean, norm = got.mean(axis=(1, 2)), np.sqrt((got**2).sum(axis=(1, 2)))
    np.testing.assert_allclose(mean, golden[f"{kind}.mean"], atol=1e-5)
    np.testing.assert_allclose(norm, golden[f"{kind}.norm"], rtol=1e-5)


def test_bfloat16_stays_close_to_float32():
    low = output(t5_mask=True, dtype="bfloat16", param_dtype="bfloat16")
    wide = output(t5_mask=True)
    cosine = (low * wide).sum() / math.sqrt((low**2).sum() * (wide**2).sum())
    # Three blocks whose scores are about 6 wide, rounded to eight bits.
    assert cosine > 0.999


def test_position_buckets_equal_upstream(golden):
    got = position_buckets(301, config_of(t5_mask=True))
    np.testing.assert_array_equal(got[300], golden["buckets"][:301])
    np.testing.assert_array_equal(got[0], golden["buckets"][300:])


def test_the_xxl_has_the_names_shapes_and_parameters_of_upstream():
    slots = weights.tensor_names(T5_XXL)
    shapes = {name: weights.tensor_shape(T5_XXL, slots[name]) for name in sorted(slots)}
    lines = "\n".join(f"{name} {list(shape)}" for name, shape in shapes.items())
    expected = PROVENANCE["xxl"]
    assert len(shapes) == expected["count"] == 219
    parameters = sum(math.prod(shape) for shape in shapes.values())
    assert parameters == expected["parameters"] == 4_762_310_656
    assert hashlib.sha256(lines.encode()).hexdigest() == expected["sha256"]
