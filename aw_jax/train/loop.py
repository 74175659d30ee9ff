"""The loop around the step: data in, checkpoints and a log out, resumed bit for bit."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from aw_jax.core.arrays import Array, Key, PyTree
from aw_jax.core.keys import named
from aw_jax.nn.layers import as_stacks, from_stacks
from aw_jax.runs.checkpoints import Checkpoints
from aw_jax.runs.progress import Progress, progress
from aw_jax.train.optimizer import OptimizerConfig, make_optimizer
from aw_jax.train.state import TrainState, initial_state
from aw_jax.train.step import Loss, Metrics, make_step


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long to train and how often to speak and to save."""

    steps: int = 14_000
    log_every: int = 20
    save_every: int = 200
    optimizer: OptimizerConfig = OptimizerConfig()


@runtime_checkable
class Batches(Protocol):
    """Endless batches whose place can be saved: a grain iterator is one."""

    def __next__(self) -> PyTree:
        """The next batch."""
        ...

    def get_state(self) -> dict[str, Any]:
        """The place in the data, as JSON-ready values."""
        ...

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes back to a place that `get_state` told."""
        ...


def train(
    loss: Loss,
    params: PyTree,
    frozen: PyTree,
    batches: Batches,
    *,
    config: LoopConfig,
    folder: Path,
    key: Key[Array, ""],
) -> TrainState:
    """Trains `params` to `config.steps`, going on from the newest checkpoint.

    Writes checkpoints to `folder/checkpoints` and one JSON line every `log_every` steps
    to `folder/log.jsonl`: means over the steps since the last line, or since the run
    was resumed. Ctrl-C saves before it leaves.
    """
    optimizer = make_optimizer(config.optimizer, config.steps)
    decay = config.optimizer.average_decay
    step = make_step(loss, optimizer, average_decay=decay)
    state = initial_state(params, optimizer)
    saved = Checkpoints(folder / "checkpoints")
    state = _resume(saved, state, batches)
    key = named(key, "train")
    recent: list[Metrics] = []
    with progress("train", config.steps, start=int(state.step)) as bar:
        for index in range(int(state.step), config.steps):
            try:
                state, metrics = step(state, frozen, next(batches), key)
                done = index + 1
                recent.append(metrics)
                if done % config.log_every == 0 or done == config.steps:
                    _log(folder, done, recent, bar)
                    recent.clear()
                if done % config.save_every == 0 or done == config.steps:
                    _save(saved, done, state, batches)
            except KeyboardInterrupt:
                _save(saved, int(state.step), state, batches)
                raise
    saved.close()
    return state


def _save(saved: Checkpoints, step: int, state: TrainState, batches: Batches) -> None:
    """Blocks of a network are stacked on the disk, however the network holds them."""
    saved.save(step, as_stacks(state), notes={"data": batches.get_state()})


def _resume(saved: Checkpoints, state: TrainState, batches: Batches) -> TrainState:
    latest = saved.latest()
    if latest is None:
        return state
    like = jax.eval_shape(as_stacks, state)
    stacks, notes = saved.restore(latest, like=like)
    batches.set_state(notes["data"])
    return from_stacks(stacks, like=state)


def _log(folder: Path, step: int, recent: list[Metrics], bar: Progress) -> None:
    found = {name: [m[name] for m in recent] for name in recent[0]}
    figures = {name: float(np.mean(jax.device_get(v))) for name, v in found.items()}
    if not np.isfinite(figures["loss"]):
        raise FloatingPointError(f"The loss is {figures['loss']} at step {step}.")
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, **figures}) + "\n")
    bar.update(step, **figures)
