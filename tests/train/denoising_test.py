"""What a training example is cut from a batch of clips."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.flow.timesteps import TimestepLaw
from aw_jax.restoration.method import MethodConfig
from aw_jax.train.denoising import (
    Context,
    DenoisingConfig,
    LatentClips,
    denoising_loss,
    pixel_weights,
)

SHAPE = (3, 4, 5, 6, 2)
"""Clips, frames, rows, columns, channels."""
METHOD = MethodConfig(source="artifact", steps=1)
CONFIG = DenoisingConfig(
    method=METHOD,
    times=TimestepLaw(mass_at_one=1.0),
    window=2,
    windows=3,
    damage_floor=0.5,
)


def batch():
    keys = jax.random.split(jax.random.key(0), 4)
    names = ("clean", "artifact", "reference", "heatmap")
    streams = {n: jax.random.normal(k, SHAPE) for n, k in zip(names, keys, strict=True)}
    return LatentClips(**streams, labelled=jnp.array([True, False, True]))


def context():
    grid = jnp.zeros(SHAPE[1:])
    coords = jnp.zeros((*SHAPE[1:4], 3))
    return Context(prompt=jnp.zeros((1, 2)), coords=coords, full=grid, null=grid)


class Spy:
    """A model that predicts no change and remembers what it was shown."""

    def __init__(self):
        self.seen = None

    def __call__(self, tokens, *_, **__):
        self.seen = tokens
        return jnp.zeros_like(tokens)


def value(config, data, key=0, *, task="restorer", channels=None):
    spy = Spy()
    loss = denoising_loss(task, lambda params, frozen: spy, config)
    known = dataclasses.replace(context(), channels=channels)
    found, _ = loss({}, ({}, known), data, jax.random.key(key))
    return float(found), np.asarray(spy.seen)


def windows(grid, side):
    """Every window of every clip as tokens, by brute force."""
    n, _, rows, columns, c = grid.shape
    return [
        [
            np.asarray(grid[i, :, y : y + side, x : x + side]).reshape(-1, c)
            for y in range(rows - side + 1)
            for x in range(columns - side + 1)
        ]
        for i in range(n)
    ]


def test_every_clip_gives_its_windows_all_streams_cut_alike():
    data = batch()
    _, seen = value(CONFIG, data)
    references, targets = seen[:, :16], seen[:, 16:32]
    assert len(seen) == 9
    places = set()
    for row in range(9):
        known = windows(data.reference, 2)[row // 3]
        (place,) = [
            i for i, one in enumerate(known) if np.array_equal(one, references[row])
        ]
        np.testing.assert_array_equal(
            windows(data.artifact, 2)[row // 3][place], targets[row]
        )
        places.add(place)
    assert len(places) > 3


def test_loss_is_the_error_over_the_damage_of_the_whole_frame():
    data = batch()
    error = np.square(np.asarray(data.clean - data.artifact))
    damage = error.mean(axis=(2, 3, 4))
    whole = dataclasses.replace(CONFIG, window=None, windows=1)
    expected = np.mean(damage / (damage + 0.5))
    assert value(whole, data)[0] == pytest.approx(expected, rel=1e-5)
    plain = dataclasses.replace(whole, damage_floor=None)
    assert value(plain, data)[0] == pytest.approx(damage.mean(), rel=1e-5)


def test_windows_carry_the_weight_of_their_own_clip_and_frame():
    data = batch()
    loud = np.ones(SHAPE[:2])
    loud[1, 2] = 10
    grid = lambda x: jnp.asarray(np.broadcast_to(x[..., None, None, None], SHAPE))
    data = dataclasses.replace(
        data, clean=grid(loud), artifact=jnp.zeros(SHAPE, jnp.float32)
    )
    config = dataclasses.replace(CONFIG, damage_floor=1.0)
    expected = (11 * (1 / 2) + 100 / 101) / 12
    assert value(config, data)[0] == pytest.approx(expected, rel=1e-5)


def test_pixel_errors_weigh_channels_by_variance_in_error_and_damage():
    data = batch()
    channels = pixel_weights(jnp.asarray([1.0, 3.0]))
    np.testing.assert_allclose(channels, [0.2, 1.8], rtol=1e-6)
    square = np.square(np.asarray(data.clean - data.artifact))
    damage = (square * np.asarray(channels)).mean(axis=(2, 3, 4))
    whole = dataclasses.replace(CONFIG, window=None, windows=1)
    expected = np.mean(damage / (damage + 0.5))
    assert value(whole, data, channels=channels)[0] == pytest.approx(expected, rel=1e-5)


def test_the_predictor_weighs_channels_too():
    data = batch()
    channels = jnp.asarray([0.0, 2.0])
    error = np.square(np.asarray(data.heatmap - data.artifact))[..., 1]
    whole = dataclasses.replace(CONFIG, window=None, windows=1)
    found, _ = value(whole, data, task="predictor", channels=channels)
    labelled = error[np.asarray(data.labelled)]
    assert found == pytest.approx(labelled.sum() / error.size, rel=1e-5)


def test_the_predictor_learns_every_heatmap_whatever_the_restorer_is_shown():
    data = batch()
    whole = dataclasses.replace(CONFIG, window=None, windows=1)
    never = dataclasses.replace(whole, label_share=0.0)
    found, wanted = (value(c, data, task="predictor")[0] for c in (never, whole))
    assert found == pytest.approx(wanted, rel=1e-6)


def test_the_base_learns_both_tasks():
    data = batch()
    both = value(CONFIG, data, task="base")[0]
    apart = [value(CONFIG, data, task=task)[0] for task in ("predictor", "restorer")]
    assert both == pytest.approx(sum(apart), rel=1e-6)


def test_the_base_predicts_heatmaps_of_its_first_clips_alone():
    data = batch()
    whole = dataclasses.replace(
        CONFIG, window=None, windows=1, predicted=0.3, predictor_weight=0.5
    )
    both = value(whole, data, task="base")[0]
    first = jax.tree.map(lambda x: x[:1], data)
    predictor, restorer = (
        value(whole, first, task="predictor")[0],
        value(whole, data)[0],
    )
    assert both == pytest.approx(restorer + 0.5 * predictor, rel=1e-5)
