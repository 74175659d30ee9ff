"""Which noise levels training draws.

`uniform` is the paper's law, t in (0, 1]. `mass_at_one` is for networks that restore in
one step: a share of the samples sits at t = 1 exactly, where the flow objective is the
regression of the conditional mean. `shifted_logit_normal` is LTX-Video-Trainer's,

    t = sigmoid(mu + std n),    mu = 0.95 + 1.10 (tokens - 1024) / (4096 - 1024)

with mu held at most at `max_mu`: without that, long sequences train on noise alone.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Key
from aw_jax.core.errors import UserError
from aw_jax.core.keys import named
from aw_jax.flow.schedules import shift_of_tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class TimestepLaw:
    """The distribution of the training noise level."""

    kind: Literal["uniform", "shifted_logit_normal"] = "uniform"
    mass_at_one: float = 0.0
    """Probability that a sample is moved to t = 1."""
    std: float = 1.0
    """Of the logit-normal's logit."""
    max_mu: float = 2.05
    """Largest mean of that logit, reached at 4,096 tokens."""

    def __post_init__(self) -> None:
        """Refuses an unknown law or a probability outside [0, 1]."""
        known = ("uniform", "shifted_logit_normal")
        if self.kind not in known:
            raise UserError(
                f"TimestepLaw.kind must be {' or '.join(known)}, got {self.kind!r}."
            )
        if not 0 <= self.mass_at_one <= 1:
            raise UserError(
                f"TimestepLaw.mass_at_one must lie in [0, 1], got {self.mass_at_one}."
            )


def sample(
    law: TimestepLaw, key: Key[Array, ""], count: int, *, tokens: int
) -> Float[Array, " b"]:
    """Draws `count` levels in (0, 1]; `tokens` counts those of the target alone."""
    if law.kind == "uniform":
        t = uniform(named(key, "level"), count)
    else:
        t = shifted_logit_normal(
            named(key, "level"), count, tokens=tokens, std=law.std, max_mu=law.max_mu
        )
    return mass_at_one(named(key, "one"), t, probability=law.mass_at_one)


def uniform(key: Key[Array, ""], count: int) -> Float[Array, " b"]:
    """Uniform over (0, 1]."""
    return 1 - jax.random.uniform(key, (count,))


def mass_at_one(
    key: Key[Array, ""], t: Float[Array, " b"], *, probability: float
) -> Float[Array, " b"]:
    """`t` with each entry moved to 1 with this probability."""
    return jnp.where(jax.random.bernoulli(key, probability, t.shape), 1.0, t)


def shifted_logit_normal(
    key: Key[Array, ""],
    count: int,
    *,
    tokens: int,
    std: float = 1.0,
    max_mu: float = 2.05,
) -> Float[Array, " b"]:
    """sigmoid(mu(tokens) + std n), mu at most `max_mu`."""
    mu = min(shift_of_tokens(tokens), max_mu)
    return jax.nn.sigmoid(mu + std * jax.random.normal(key, (count,)))
