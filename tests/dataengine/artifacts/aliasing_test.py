"""Aliasing: frames of too few samples."""

import itertools

import jax
import numpy as np

from aw_jax.dataengine.artifacts.aliasing import STEPS, Shot, shot
from aw_jax.dataengine.artifacts.breaking import broken_clip


def test_no_severity_is_the_shot_of_a_clean_clip():
    assert shot(0.0) == Shot() == Shot(shrink=1, low_pass=0.3)


def test_a_higher_severity_never_samples_more_nor_filters_more():
    shots = [shot(s) for s in np.linspace(0, 1, 41)]
    assert len(set(shots)) == len(STEPS) + 1
    for weak, strong in itertools.pairwise(shots):
        assert strong.shrink >= weak.shrink
        assert strong.low_pass <= weak.low_pass or strong.shrink > weak.shrink


def test_a_frame_is_made_of_blocks_of_its_own_samples(subject):
    frames = broken_clip(subject, {"aliasing": 0.55}, jax.random.key(0)).frames
    block = frames[:, ::3, ::3]
    np.testing.assert_array_equal(block.repeat(3, axis=1).repeat(3, axis=2), frames)
    assert len(np.unique(block[0].reshape(-1, 3), axis=0)) > 16
