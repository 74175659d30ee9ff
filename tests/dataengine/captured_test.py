"""Captures as scenes: what is cut, which photos are sparse, and the walk past them."""

import cv2
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data.procedural.surface_points import SurfacePointsConfig
from aw_jax.dataengine.captured import photo_capture, sparse_photos
from aw_jax.dataengine.dense_fit import DenseFitConfig
from aw_jax.dataengine.sparse_fit import SparseFitConfig
from aw_jax.media import images
from aw_jax.splat.fit_config import FitConfig

DENSE = DenseFitConfig(points=SurfacePointsConfig(count=350))
SPARSE = SparseFitConfig(
    views=(3, 3), surface=(40, 80), start=100, fit=FitConfig(capacity=120)
)


def test_photos_are_scaled_and_cut_around_their_middle(captured):
    seen = photo_capture(captured, size=(28, 16), config=DENSE)
    assert seen.photos.shape == (10, 16, 28, 3)
    whole = photo_capture(captured, size=(49, 49), config=DENSE)
    photo = images.read(captured / "images/0004.png").astype(np.float32) / 255
    assert np.allclose(whole.photos[4], photo)
    small = cv2.resize(photo, (28, 28), interpolation=cv2.INTER_AREA)
    assert np.allclose(seen.photos[4], small[6:22], atol=1e-6)
    scale, shift = np.diag([28 / 49, 28 / 49, 1]), np.array([0, 6, 0])
    k = scale @ np.asarray(whole.cameras.intrinsics[4])
    k[:, 2] -= shift
    assert np.allclose(seen.cameras.intrinsics[4], k, atol=1e-5)


def test_points_are_the_captures_own_and_grey_ones_fill_up(captured):
    seen = photo_capture(captured, size=(49, 49), config=DENSE)
    assert len(seen.points) == 350
    grey = np.all(np.asarray(seen.colors) == 0.5, axis=-1)
    assert grey[300:].all()
    assert not grey[:300].all()
    few = DenseFitConfig(points=SurfacePointsConfig(count=40))
    assert len(photo_capture(captured, size=(49, 49), config=few).points) == 40


def test_a_sparse_fit_takes_every_so_manieth_photo_and_walks_past_all(captured):
    dense = photo_capture(captured, size=(49, 49), config=DENSE)
    seen = sparse_photos(dense, np.random.default_rng(1), frames=9, config=SPARSE)
    poses = np.asarray(dense.cameras.camera_from_world)
    found = [
        int(np.argmin(np.abs(poses - np.asarray(pose)).max(axis=(1, 2))))
        for pose in seen.cameras.camera_from_world
    ]
    assert np.diff(found).tolist() == [4, 4]
    assert np.array_equal(seen.photos, dense.photos[np.array(found)])
    assert len(seen.points) == 100
    walk = np.asarray(seen.walk.camera_from_world)
    assert walk.shape == (2 * 8 + 1, 4, 4)
    assert np.array_equal(walk[::8], poses[found])
    centers = np.linalg.inv(poses)[:, :3, 3]
    gaps = np.linalg.norm(centers[:, None] - np.linalg.inv(walk)[:, :3, 3], axis=-1)
    step = np.linalg.norm(np.diff(centers, axis=0), axis=-1).max()
    assert gaps[found[0] : found[-1] + 1].min(axis=1).max() < step / 2


def test_photos_smaller_than_the_clip_are_refused(captured):
    with pytest.raises(UserError, match="at least 64x64"):
        photo_capture(captured, size=(64, 64), config=DENSE)


def test_poses_that_cannot_be_are_refused(twisted):
    with pytest.raises(UserError, match="R R"):
        photo_capture(twisted, size=(49, 49), config=DENSE)
