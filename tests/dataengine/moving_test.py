"""Something that moves while photos are taken, and training views 8 frames apart."""

import dataclasses

import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data.procedural.captures import CaptureConfig, capture
from aw_jax.data.procedural.rendering import photograph
from aw_jax.data.procedural.seeds import TEST
from aw_jax.data.procedural.solids import FIRST, KINDS
from aw_jax.data.procedural.worlds import scene
from aw_jax.dataengine import moving
from aw_jax.dataengine.courses import stretches, walked
from aw_jax.dataengine.sparse_fit import SparseFitConfig, skip_of, sparse_capture
from aw_jax.splat.fit_config import FitConfig

WORLD = scene(TEST.start + 101)


def test_only_things_and_what_is_close_to_them_stand_elsewhere():
    things = moving.movable(WORLD)
    assert things.any()
    for kind in ("card", "disc", "dome"):
        assert not things[FIRST[kind] : FIRST[kind] + KINDS[kind]].any()
    for seed in range(5):
        moved = moving.displaced(WORLD, things, np.random.default_rng(seed))
        before = np.asarray(WORLD.matter.solids.centers)
        way = np.asarray(moved.matter.solids.centers) - before
        gone = np.linalg.norm(way, axis=-1) > 0
        assert 0 < gone.sum() < len(way) / 2
        assert (gone & things).any()
        assert np.allclose(way[gone], way[gone][0], atol=1e-5)
        assert 0.15 <= np.linalg.norm(way[gone][0]) <= 0.5
        assert np.ptp(before[gone][:, :2], axis=0).max() <= 2 * moving.REACH
        assert np.asarray(WORLD.matter.solids.radii)[gone].max() <= moving.LARGEST


def test_some_photos_show_it_and_the_others_are_as_they_were():
    cameras = capture(WORLD, CaptureConfig(frames=4, width=49, height=49))
    photos = np.asarray(photograph(WORLD, cameras))
    ghosts, views = moving.with_something_moved(WORLD, photos, cameras, share=1.0)
    assert 1 <= len(views) <= 2
    for view in range(4):
        assert np.array_equal(ghosts[view], photos[view]) == (view not in views)
    still, none = moving.with_something_moved(WORLD, photos, cameras, share=0.0)
    assert none == ()
    assert still is photos


SKIPPED = SparseFitConfig(
    views=(4, 4),
    gap=(0.1, 0.2),
    skip=8,
    moving=1.0,
    surface=(40, 80),
    start=100,
    fit=FitConfig(capacity=120),
)


def test_training_views_eight_frames_apart_and_clips_that_span_several():
    seen = sparse_capture(
        WORLD, np.random.default_rng(0), frames=17, size=(49, 49), config=SKIPPED
    )
    poses = np.asarray(seen.walk.camera_from_world)
    assert len(poses) == 25
    assert np.array_equal(poses[::8], seen.cameras.camera_from_world)
    assert stretches(seen, frames=17) == 2
    for seed in range(4):
        course = walked(seen, 1, np.random.default_rng(seed), frames=17)
        ends = np.asarray(seen.cameras.camera_from_world)[[course.start, course.end]]
        assert {course.start, course.end} == {1, 3}
        went = np.asarray(course.cameras.camera_from_world)
        assert np.array_equal(went[[0, -1]], ends)
    assert seen.moved


def test_a_clip_must_lead_from_a_training_view_to_another():
    assert skip_of(SparseFitConfig(), 25) == 24
    assert skip_of(SKIPPED, 25) == 8
    for wrong in ({"skip": 7}, {"views": (2, 4)}):
        with pytest.raises(UserError, match="skip"):
            skip_of(dataclasses.replace(SKIPPED, **wrong), 25)
