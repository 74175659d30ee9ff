"""Guided sampling against the ltx-video wheel's outputs (scripts/goldens)."""

import functools
import json
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.flow.guidance import GuidanceConfig, constant
from aw_jax.models.ltx import config as ltx
from aw_jax.models.ltx import weights
from aw_jax.models.ltx.conditioning import Given, Grid, canvas
from aw_jax.models.ltx.guided_sampling import GuidedConfig, Prompts, sample_guided
from aw_jax.models.ltx.positions import coordinates
from aw_jax.models.ltx.sampling import SamplerConfig, begin, times
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
    runs = jax.jit(functools.partial(run.__wrapped__))
    plain = run(transformer(), None)
    got = runs(transformer(), Perturbation(rows=jnp.zeros((2, 2), bool)))
    np.testing.assert_allclose(got, plain, atol=1e-6)
    one = runs(transformer(), Perturbation(rows=jnp.asarray(ROWS & [True, False])))
    assert runs._cache_size() == 1
    np.testing.assert_array_equal(one[1], got[1])
    assert jnp.abs(one[0] - got[0]).max() > 1e-3


def prompts():
    text = jnp.asarray(draw("input.text", (2, 7, 32)))
    return Prompts(
        positive=text[:1],
        positive_lengths=jnp.array([5]),
        negative=text[1:],
        negative_lengths=jnp.array([7]),
    )


def sampled(config, *given, init=None):
    noise = jnp.asarray(draw("noise", (1, TOKENS, 8)).reshape(1, 5, 3, 4, 8))
    start = begin(noise, times(config.sampler, tokens=TOKENS), init=init)
    grid = Grid(fps=25, rope_time="causal")
    start = canvas(start, given, grid=grid)
    return sample_guided(
        transformer(), start, prompts(), jax.random.key(0), config=config
    )


def given_at(frame, number, latent_frames=1, strength=1.0):
    latents = jnp.asarray(draw(f"given.{number}", (1, latent_frames, 3, 4, 8)))
    return Given(latents=latents, frame=frame, strength=strength)


def test_sampling_by_tables_equals_the_wheel(golden):
    """Three loops: one row, three rows, two rows; the last step skipped."""
    tables = GuidanceConfig(
        levels=(1.0, 0.99, 0.98, 0.5),
        guidance=(1.0, 6.0, 3.0, 1.0),
        stg=(0.0, 4.0, 2.0, 1.0),
        rescale=(1.0, 0.5, 1.0, 1.0),
        blocks=((), (0,), (1,), (0, 1)),
        star=True,
    )
    levels = SamplerConfig(schedule="linear_quadratic", steps=6, skip_last=1)
    got = sampled(GuidedConfig(sampler=levels, guidance=tables))
    assert_equals(golden, "sampled.tables", got)


def test_sampling_with_given_frames_equals_the_wheel(golden):
    config = GuidedConfig(
        sampler=SamplerConfig(schedule="sd3", steps=4, terminal=0.1),
        guidance=constant(guidance=3.0, stg=1.0, rescale=0.7, blocks=(1,)),
        perturbation="attention_skip",
    )
    given = [given_at(0, 0, strength=0.7), given_at(8, 1, 3), given_at(-1, 2)]
    assert_equals(golden, "sampled.given", sampled(config, *given))


def test_noise_on_a_given_frame_equals_the_wheel(golden, monkeypatch):
    noise = jnp.asarray(draw("noise", (1, TOKENS, 8)))
    monkeypatch.setattr(jax.random, "normal", lambda key, shape: noise)
    config = GuidedConfig(sampler=SamplerConfig(steps=5, skip_first=2), cond_noise=0.15)
    init = jnp.asarray(draw("start", (1, 5, 3, 4, 8)))
    got = sampled(config, given_at(0, 0), init=init)
    assert_equals(golden, "sampled.noised", got)
