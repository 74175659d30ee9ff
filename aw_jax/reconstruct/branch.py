"""One fit that can be stopped at any moment and goes on from its newest snapshot."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from aw_jax.core.arrays import Array, Key
from aw_jax.runs.checkpoints import Checkpoints
from aw_jax.splat import capacity, fit
from aw_jax.splat.fit_config import FitConfig
from aw_jax.splat.fit_state import FitState
from aw_jax.splat.targets import Targets

ROWS = "rows"
"""What a snapshot notes beside the fit: it may have grown since its start."""


def fit_to(
    state: FitState,
    targets: tuple[Targets, ...],
    *,
    config: FitConfig,
    until: int,
    key: Key[Array, ""],
    folder: Path,
    save_every: int,
    on_step: Callable[[fit.Progress], None] | None = None,
    **extras: Any,
) -> FitState:
    """Fits from `state` to step `until`, saving into `folder` every `save_every` steps.

    A newer snapshot in `folder` replaces `state`; the result is the same to the bit.
    `extras` go to `fit.run`: generated views, their weight, and when they came in.
    """
    saved = Checkpoints(folder)
    latest = saved.latest()
    if latest is not None and int(state.step) < latest <= until:
        rows = saved.notes(latest).get(ROWS, len(state.alive))
        like = jax.eval_shape(lambda: capacity.with_rows(state, rows))
        state, _ = saved.restore(latest, like=like)
    while int(state.step) < until:
        stop = min(int(state.step) // save_every * save_every + save_every, until)
        state = fit.run(
            state,
            targets,
            config=config,
            until=stop,
            key=key,
            on_step=on_step,
            **extras,
        )
        saved.save(stop, state, notes={ROWS: len(state.alive)})
    saved.close()
    return state
