"""The loop on a parabola whose minimum every batch moves."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.train.loop import LoopConfig, train
from aw_jax.train.optimizer import OptimizerConfig

CONFIG = LoopConfig(
    steps=5,
    log_every=2,
    save_every=2,
    optimizer=OptimizerConfig(learning_rate=0.1),
)


class Counter:
    """Batches 0, 1, 2, ...; `stop` of them, then Ctrl-C."""

    def __init__(self, stop=100):
        self.place, self.stop = 0, stop

    def __next__(self):
        if self.place == self.stop:
            raise KeyboardInterrupt
        self.place += 1
        return jnp.float32(self.place - 1)

    def get_state(self):
        return {"place": self.place}

    def set_state(self, state):
        self.place = state["place"]


def loss(params, frozen, batch, key):
    value = jnp.square(params["x"] - frozen * batch)
    return value, {"batch": batch}


def run(folder, batches):
    state = train(
        loss,
        {"x": jnp.float32(0)},
        jnp.float32(1),
        batches,
        config=CONFIG,
        folder=folder,
        key=jax.random.key(0),
    )
    return float(state.params["x"])


def lines(folder):
    text = (folder / "log.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_lines_hold_means_of_the_steps_since_the_last(tmp_path):
    run(tmp_path, Counter())
    assert [(line["step"], line["batch"]) for line in lines(tmp_path)] == [
        (2, 0.5),
        (4, 2.5),
        (5, 4.0),
    ]


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_an_interrupted_run_goes_on_to_the_same_end(stop, tmp_path):
    whole = run(tmp_path / "whole", Counter())
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parted", Counter(stop))
    assert run(tmp_path / "parted", Counter()) == whole
    assert lines(tmp_path / "parted")[-1]["step"] == 5


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    batches = Counter()
    batches.place = np.float32(np.nan)
    with pytest.raises(FloatingPointError, match="at step 2"):
        run(tmp_path, batches)
