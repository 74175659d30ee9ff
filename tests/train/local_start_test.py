"""Where the attention of a fresh transformer looks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.models.ltx import config as ltx_config
from aw_jax.nn.layers import as_stacks, layer
from aw_jax.nn.norms import rms_norm
from aw_jax.nn.rope import rotation
from aw_jax.train.local_start import local_start

WIDTH, HEAD, LAYERS = 128, 64, 2
CONFIG = ltx_config.tiny(width=WIDTH, layers=LAYERS, head_dim=HEAD)


def fresh():
    bias = jnp.zeros((LAYERS, WIDTH))
    attention = {name: {"bias": bias} for name in ("to_q", "to_k", "to_v")}
    norms = {name: {"weight": bias + 1} for name in ("norm_q", "norm_k")}
    table = jnp.zeros((LAYERS, 6, WIDTH))
    out = {"kernel": jnp.ones((WIDTH, 3)), "bias": jnp.ones(3)}
    blocks = {"attn1": attention | norms, "scale_shift_table": table}
    return {"blocks": blocks, "proj_out": out}


def logits(params, head):
    """Of a query at the origin and keys 1 s, 8 and 16 pixels from it, all random."""
    rng = np.random.default_rng(0)
    moves = np.array([[0, 0, 0], [1, 0, 0], [0, 8, 0], [0, 0, 8], [0, 16, 16]])
    fractions = jnp.asarray(moves / np.array([20, 2048, 2048]), jnp.float32)
    turn = rotation(fractions, width=WIDTH)
    attention = params["blocks"]["attn1"]
    total = np.zeros(len(moves))
    for _ in range(50):
        query, key = (
            rms_norm(
                jnp.asarray(rng.normal(size=WIDTH), jnp.float32)
                + attention[f"to_{name}"]["bias"][0],
                eps=1e-6,
            )
            * attention[f"norm_{name}"]["weight"][0]
            for name in "qk"
        )
        pairs = [np.asarray(x)[0::2] + 1j * np.asarray(x)[1::2] for x in (query, key)]
        angle = np.asarray(turn.cos) + 1j * np.asarray(turn.sin)
        product = (pairs[0] * angle[0]) * np.conj(pairs[1] * angle)
        mine = slice(head * HEAD // 2, (head + 1) * HEAD // 2)
        total += product.real[:, mine].sum(axis=1) / np.sqrt(HEAD)
    return total / 50


def test_even_heads_look_at_their_place_at_all_times():
    found = logits(local_start(fresh(), CONFIG), head=0)
    assert found[1] == pytest.approx(found[0], abs=1)
    assert np.all(found[2:] < found[0] - 0.2)


def test_odd_heads_look_at_their_place_in_their_frame():
    found = logits(local_start(fresh(), CONFIG), head=1)
    assert np.all(found[1:] < found[0] - 3)


def test_a_random_start_looks_nowhere():
    for head in (0, 1):
        found = logits(fresh(), head)
        assert np.all(np.abs(found - found[0]) < 1)


def test_the_velocity_starts_at_zero():
    out = local_start(fresh(), CONFIG)["proj_out"]
    assert not any(np.any(leaf) for leaf in out.values())


def test_blocks_one_by_one_start_as_those_of_a_stack():
    each = [layer(fresh()["blocks"], i) for i in range(LAYERS)]
    single = local_start(fresh() | {"blocks": dict(enumerate(each))}, CONFIG)
    wanted = local_start(fresh(), CONFIG)
    jax.tree.map(np.testing.assert_array_equal, as_stacks(single), wanted)


def test_gates_open_and_nothing_else_changes():
    before, after = fresh()["blocks"], local_start(fresh(), CONFIG)["blocks"]
    change = np.asarray(after["scale_shift_table"] - before["scale_shift_table"])
    np.testing.assert_array_equal(change[0, :, 0], [0, 0, 1, 0, 0, 1])
    bias = lambda blocks: np.asarray(blocks["attn1"]["to_v"]["bias"])
    np.testing.assert_array_equal(bias(before), bias(after))
