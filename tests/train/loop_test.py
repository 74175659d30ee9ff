"""The loop on a parabola whose minimum every batch moves."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.nn.layers import as_stacks
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


@pytest.mark.parametrize("begun", ["stack", "single"])
def test_a_run_goes_on_in_the_other_form_of_the_blocks(begun, tmp_path):
    stack = lambda: {"blocks": {"x": jnp.arange(2.0)}}
    single = lambda: {"blocks": {i: {"x": jnp.float32(i)} for i in range(2)}}

    def go(params, batches, folder):
        def loss(params, frozen, batch, key):
            leaves = [jnp.ravel(x) for x in jax.tree.leaves(params)]
            return jnp.sum((jnp.concatenate(leaves) - batch) ** 2), {}

        kwargs = {"config": CONFIG, "folder": folder, "key": jax.random.key(0)}
        return train(loss, params, None, batches, **kwargs)

    first, second = (stack, single) if begun == "stack" else (single, stack)
    with pytest.raises(KeyboardInterrupt):
        go(first(), Counter(3), tmp_path / "parted")
    ended = go(second(), Counter(), tmp_path / "parted").params
    assert jax.tree.structure(ended) == jax.tree.structure(second())
    whole = go(stack(), Counter(), tmp_path / "whole").params
    # Two programs, whose sums may round apart.
    close = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    jax.tree.map(close, as_stacks(ended), whole)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    batches = Counter()
    batches.place = np.float32(np.nan)
    with pytest.raises(FloatingPointError, match="at step 2"):
        run(tmp_path, batches)
