"""Sampling with guidance and given frames: Euler from a canvas down to clean latents.

All predictions a step needs (with the prompt, the negative prompt, perturbed) are rows
of one batch. A segment given with some strength has the level

    t_segment = min(t, 1 - strength),

moves only while t - 1e-6 < 1 - strength, and then to the next level below its own.
Neighbouring steps that need the same predictions are one compiled loop; `sample_steps`
makes the same steps one at a time, for those who want to watch.
(LTX-Video pipeline_ltx_video.py.)
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from aw_jax.core.arrays import Array, Bool, Float, Int, Key
from aw_jax.core.errors import UserError
from aw_jax.core.keys import at_step, named
from aw_jax.core.pytrees import pytree
from aw_jax.flow import guidance, solver
from aw_jax.flow.guidance import GuidanceConfig, Scales
from aw_jax.models.ltx.conditioning import Canvas
from aw_jax.models.ltx.sampling import SamplerConfig, times
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.nn.perturbation import Kind, Perturbation


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuidedConfig:
    """The levels, what is predicted at each, and the noise on given frames."""

    sampler: SamplerConfig = SamplerConfig()
    guidance: GuidanceConfig = GuidanceConfig()
    perturbation: Kind = "attention_values"
    cond_noise: float = 0.0
    """Frames given with strength 1 are shown with noise of cond_noise t^2 on them.

    LTX-Video's own default is 0.15, though training shows them clean.
    """
    stochastic: bool = False
    """Every step goes to clean tokens and back with fresh noise (0.9.6 distilled)."""

    def __post_init__(self) -> None:
        """Refuses negative noise."""
        if self.cond_noise < 0:
            raise UserError(
                f"GuidedConfig.cond_noise must be at least 0, got {self.cond_noise}."
            )


@pytree
class Prompts:
    """Embedded prompts, padded to one length."""

    positive: Float[Array, "b l x"]
    positive_lengths: Int[Array, " b"]
    negative: Float[Array, "b l x"] | None = None
    """Needed where guidance is above 1."""
    negative_lengths: Int[Array, " b"] | None = None


@pytree
class Steps:
    """Everything that changes from step to step."""

    index: Int[Array | np.ndarray, " t"]
    level: Float[Array | np.ndarray, " t"]
    scales: Scales
    blocks: Bool[Array | np.ndarray, "t y"]
    """Which blocks are perturbed."""


@functools.partial(jax.jit, static_argnames="config")
def sample_guided(
    model: Transformer,
    start: Canvas,
    prompts: Prompts,
    key: Key[Array, ""],
    *,
    config: GuidedConfig,
) -> Float[Array, "b n c"]:
    """The tokens of the video, sampled from `start` to level 0; extra ones left out.

    Raises:
        UserError: guidance above 1 without a negative prompt; a block that is none.
    """
    tokens = start.tokens
    for steps, needs in _loops(model, start, config):

        def advance(
            z: Array, at: Steps, needs: tuple[bool, bool] = needs
        ) -> tuple[Array, None]:
            z = _advanced(model, start, prompts, key, z, at, needs=needs, config=config)
            return z, None

        tokens = jax.lax.scan(advance, tokens, steps)[0]
    return tokens[:, start.extra :]


def sample_steps(
    model: Transformer,
    start: Canvas,
    prompts: Prompts,
    key: Key[Array, ""],
    *,
    config: GuidedConfig,
) -> Iterator[Float[Array, "b n c"]]:
    """The tokens of the video after each step; the last are `sample_guided`'s.

    Raises:
        UserError: as `sample_guided`, with the first step.
    """
    tokens = start.tokens
    for steps, needs in _loops(model, start, config):
        for i in range(len(steps.index)):
            at = jax.tree.map(lambda x, i=i: x[i], steps)
            tokens = _advanced(
                model, start, prompts, key, tokens, at, needs=needs, config=config
            )
            yield tokens[:, start.extra :]


@functools.partial(jax.jit, static_argnames=("needs", "config"))
def _advanced(
    model: Transformer,
    start: Canvas,
    prompts: Prompts,
    key: Key[Array, ""],
    z: Float[Array, "b m c"],
    step: Steps,
    *,
    needs: tuple[bool, bool],
    config: GuidedConfig,
) -> Float[Array, "b m c"]:
    """One step of all tokens that move."""
    z = _noised(z, start, step, key, config.cond_noise)
    t = jnp.minimum(step.level, 1 - start.strengths)
    v = _velocity(model, start, prompts, step, (z, t), needs, config)
    fresh = None
    if config.stochastic:
        fresh = jax.random.normal(_step_key(key, "stochastic", step), z.shape)
    levels = _levels(start, config)
    return _moved(z, v, start, jnp.asarray(step.level), t, levels, fresh)


def _levels(start: Canvas, config: GuidedConfig) -> np.ndarray:
    return times(config.sampler, tokens=start.tokens.shape[1] - start.extra)


def _loops(
    model: Transformer, start: Canvas, config: GuidedConfig
) -> list[tuple[Steps, tuple[bool, bool]]]:
    """Runs of steps, each with whether it needs the negative and the perturbed rows."""
    level = _levels(start, config)[:-1]
    layers = model.config.layers
    steps = Steps(
        index=np.arange(len(level)),
        level=level.astype(np.float32),
        scales=guidance.scales(config.guidance, level),
        blocks=guidance.skipped(config.guidance, level, layers=layers),
    )
    needs = [
        (bool(g != 1), bool(s != 0))
        for g, s in zip(steps.scales.guidance, steps.scales.stg, strict=True)
    ]
    loops = []
    for need, run in itertools.groupby(range(len(level)), key=needs.__getitem__):
        where = list(run)
        loops.append((jax.tree.map(lambda x, i=where: x[i], steps), need))
    return loops


def _velocity(
    model: Transformer,
    start: Canvas,
    prompts: Prompts,
    step: Steps,
    state: tuple[Array, Array],
    needs: tuple[bool, bool],
    config: GuidedConfig,
) -> Float[Array, "b m c"]:
    """The guided velocity, from one call of the network."""
    z, t = state
    negative, perturbed = needs
    rows = 1 + negative + perturbed
    text, lengths = _prompt_rows(prompts, needs)
    v = model(
        jnp.concatenate([z] * rows),
        start.coords,
        jnp.broadcast_to(t, (rows * len(z), len(t))),
        text,
        text_lengths=lengths,
        segments=start.segments,
        perturbation=_last_rows(step, rows, len(z), config) if perturbed else None,
    )
    c, *others = jnp.split(v.astype(jnp.float32), rows)
    u = others[0] if negative else None
    p = others[-1] if perturbed else None
    star = config.guidance.star
    return guidance.guided(c, u, p, scales=step.scales, star=star)


def _prompt_rows(prompts: Prompts, needs: tuple[bool, bool]) -> tuple[Array, Array]:
    """Texts and lengths of all rows: prompt, negative, prompt once more."""
    text, lengths = [prompts.positive], [prompts.positive_lengths]
    if needs[0]:
        if prompts.negative is None or prompts.negative_lengths is None:
            raise UserError(
                "GuidanceConfig.guidance is above 1: pass a negative prompt and its "
                "lengths, or set it to 1."
            )
        text.append(prompts.negative)
        lengths.append(prompts.negative_lengths)
    if needs[1]:
        text.append(prompts.positive)
        lengths.append(prompts.positive_lengths)
    return jnp.concatenate(text), jnp.concatenate(lengths)


def _last_rows(
    step: Steps, rows: int, batch: int, config: GuidedConfig
) -> Perturbation:
    last = jnp.arange(rows * batch) >= (rows - 1) * batch
    return Perturbation(rows=step.blocks[:, None] & last, kind=config.perturbation)


def _spread(x: Shaped[Array, " s"], start: Canvas) -> Shaped[Array, "b m"]:
    """A value of each segment over its tokens."""
    index = np.repeat(np.arange(len(start.segments)), start.segments)
    return jnp.broadcast_to(x[index], start.tokens.shape[:2])


def _moved(
    z: Array,
    v: Array,
    start: Canvas,
    level: Array,
    t: Array,
    levels: np.ndarray,
    fresh: Array | None,
) -> Array:
    """One step of every token whose level has been reached."""
    t, lower = _spread(t, start), _spread(solver.next_lower(t, levels), start)
    if fresh is None:
        stepped = solver.step(z, v, t, lower)
    else:
        stepped = solver.stochastic_step(z, v, t, lower, fresh)
    moves = _spread(level - 1e-6 < 1 - start.strengths, start)
    return jnp.where(moves[..., None], stepped, z).astype(z.dtype)


def _noised(
    z: Array, start: Canvas, step: Steps, key: Array, scale: float
) -> Float[Array, "b m c"]:
    """Tokens given with strength 1 as given, plus scale t^2 noise."""
    if scale == 0:
        return z
    noise = jax.random.normal(_step_key(key, "cond_noise", step), z.shape)
    hard = _spread(start.strengths > 1 - 1e-6, start)[..., None]
    shown = start.tokens + scale * step.level**2 * noise
    return jnp.where(hard, shown, z).astype(z.dtype)


def _step_key(key: Array, name: str, step: Steps) -> Array:
    """The stream `name` at one step."""
    return at_step(named(key, name), jnp.asarray(step.index))
