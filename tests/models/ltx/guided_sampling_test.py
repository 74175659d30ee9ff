"""Guided sampling beside a slow loop: one row, one token and one step at a time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.flow.guidance import GuidanceConfig, constant
from aw_jax.models.ltx import config as ltx
from aw_jax.models.ltx import weights
from aw_jax.models.ltx.conditioning import Given, Grid, canvas
from aw_jax.models.ltx.guided_sampling import (
    GuidedConfig,
    Prompts,
    sample_guided,
    sample_steps,
)
from aw_jax.models.ltx.sampling import SamplerConfig
from aw_jax.nn.perturbation import Perturbation

LEVELS = [1.0, 0.75, 0.5, 0.25, 0.0]
TABLES = GuidanceConfig(
    levels=(0.75, 0.5, 0.0),
    guidance=(2.0, 1.0, 3.0),
    stg=(1.0, 2.0, 0.0),
    rescale=(0.6, 1.0, 1.0),
    blocks=((1,), (0, 1), ()),
)
CONFIG = GuidedConfig(
    sampler=SamplerConfig(steps=4), guidance=TABLES, perturbation="transformer_block"
)


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    names = weights.tensor_names(ltx.PROBE, "diffusers").items()
    tensors = (
        (name, 0.1 * rng.standard_normal(weights.tensor_shape(ltx.PROBE, slot)))
        for name, slot in names
    )
    return weights.from_upstream(ltx.PROBE, tensors, "diffusers")


@pytest.fixture(scope="module")
def prompts():
    text = jax.random.normal(jax.random.key(1), (2, 2, 3, 16))
    lengths = jnp.array([2, 3])
    return Prompts(
        positive=text[0],
        positive_lengths=lengths,
        negative=text[1],
        negative_lengths=lengths,
    )


def start_with(strength):
    """Four latent frames of 1 x 2; the first given softly, the last from outside."""
    drawn = jax.random.normal(jax.random.key(2), (2, 6, 1, 2, 128))
    given = [
        Given(latents=drawn[:, 4:5], strength=strength),
        Given(latents=drawn[:, 5:], frame=-1),
    ]
    return canvas(drawn[:, :4], given, grid=Grid(fps=24, rope_time="causal"))


def slow(model, start, prompts, fresh=None):
    """The definition, in numpy but for the network; stochastic with `fresh` noise."""

    @jax.jit
    def network(z, t, text, length, rows):
        kwargs = {"text_lengths": length[None]}
        p = Perturbation(rows=rows[:, None], kind="transformer_block")
        return model(
            z[None], start.coords, t[None], text[None], perturbation=p, **kwargs
        )[0]

    strengths = np.repeat(np.asarray(start.strengths), start.segments)
    z = np.array(start.tokens)
    scales = [(2, 1, 0.6, [1]), (2, 1, 0.6, [1]), (1, 2, 0, [0, 1]), (3, 0, 0, [])]
    for level, (g, s, r, blocks) in zip(LEVELS[:-1], scales, strict=True):
        t = np.minimum(level, 1 - strengths).astype(np.float32)
        for sample in range(len(z)):
            text, length = prompts.positive[sample], prompts.positive_lengths[sample]
            none, some = np.zeros(2, bool), np.isin(np.arange(2), blocks)
            c = np.asarray(network(z[sample], t, text, length, none))
            u = np.asarray(
                network(z[sample], t, prompts.negative[sample], length, none)
            )
            p = np.asarray(network(z[sample], t, text, length, some))
            out = u + g * (c - u) + s * (c - p)
            out = out * (r * c.std() / out.std() + 1 - r)
            for token in range(len(t)):
                if level - 1e-6 < 1 - strengths[token]:
                    lower = max(x for x in [*LEVELS, 0] if x < t[token] - 1e-6)
                    if fresh is None:
                        z[sample, token] -= (t[token] - lower) * out[token]
                        continue
                    clean = z[sample, token] - t[token] * out[token]
                    noise = fresh[sample, token]
                    z[sample, token] = (1 - lower) * clean + lower * noise
    return z[:, start.extra :]


def test_equals_a_loop_over_rows_tokens_and_steps(model, prompts):
    start = start_with(0.4)
    got = sample_guided(model, start, prompts, jax.random.key(0), config=CONFIG)
    wanted = slow(model, start, prompts)
    assert got.shape == (2, 8, 128)
    np.testing.assert_allclose(got, wanted, atol=2e-5)


def test_stochastic_steps_equal_that_loop_with_fresh_noise(model, prompts, monkeypatch):
    """And one step at a time ends where all steps at once do."""
    start = start_with(0.4)
    fresh = jax.random.normal(jax.random.key(3), start.tokens.shape)
    monkeypatch.setattr(jax.random, "normal", lambda key, shape: fresh)
    config = dataclasses.replace(CONFIG, stochastic=True)
    *before, got = sample_steps(model, start, prompts, jax.random.key(0), config=config)
    wanted = slow(model, start, prompts, np.asarray(fresh))
    assert len(before) == 3
    np.testing.assert_allclose(got, wanted, atol=5e-5)


def test_frames_given_with_strength_one_come_back_unchanged(model, prompts):
    """And another strength is another number for the same program."""
    before = sample_guided._cache_size()
    start = start_with(1.0)
    got = sample_guided(model, start, prompts, jax.random.key(0), config=CONFIG)
    np.testing.assert_array_equal(got[:, :2], start.tokens[:, 2:4])
    assert jnp.abs(got[:, 2:] - start.tokens[:, 4:]).max() > 1e-2
    sample_guided(model, start_with(0.4), prompts, jax.random.key(0), config=CONFIG)
    assert sample_guided._cache_size() <= before + 1


def test_guidance_without_a_negative_prompt_is_refused(model, prompts):
    config = GuidedConfig(guidance=constant(guidance=3.0))
    alone = Prompts(
        positive=prompts.positive, positive_lengths=prompts.positive_lengths
    )
    with pytest.raises(UserError, match="pass a negative prompt"):
        sample_guided(model, start_with(1.0), alone, jax.random.key(0), config=config)


def test_negative_noise_is_refused():
    with pytest.raises(UserError, match="cond_noise must be at least 0, got -1"):
        GuidedConfig(cond_noise=-1.0)
