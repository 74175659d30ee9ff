"""Protocols of initial points: what they hold, and what they must not look at."""

import dataclasses
import shutil

import cv2
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data.initial_points import InitialPointsConfig, initial_points
from aw_jax.data.scenes import load_scene
from aw_jax.data.views import PointCloud

LEAST = 900


@pytest.fixture
def scene(plane_folder):
    return load_scene(plane_folder)


def train(scene):
    return tuple(view.name for view in scene.views[1::2])


def start(scene, protocol, *, seed=0, least=LEAST):
    config = InitialPointsConfig(protocol=protocol, least=least)
    return initial_points(scene, train(scene), config, seed=seed)


def with_points(scene, count=40):
    """The scene with points, of which view i sees those with index i modulo 6."""
    rng = np.random.default_rng(0)
    cloud = PointCloud(
        positions=rng.uniform(-1, 1, (count, 3)),
        colors=rng.integers(0, 256, (count, 3), np.uint8),
        observations=np.stack([np.arange(count), np.arange(count) % 6], axis=-1),
    )
    return dataclasses.replace(scene, points=cloud)


def test_triangulated_points_are_filled_up_with_random_ones(scene):
    found = start(scene, "triangulate")
    assert found.points.shape == found.colors.shape == (LEAST, 3)
    assert found.triangulated + found.added == LEAST
    assert found.triangulated > 100
    assert found.protocol == "triangulate"
    assert np.median(np.abs(found.points[: found.triangulated, 2])) < 0.005
    assert np.all(found.colors[found.triangulated :] == 0.5)
    assert found.points.dtype == found.colors.dtype == np.float32


def test_enough_points_are_left_alone(scene):
    found = start(scene, "triangulate", least=10)
    assert found.added == 0
    assert len(found.points) == found.triangulated > 10


def test_filter_keeps_what_a_training_view_sees(scene):
    scene = with_points(scene)
    found = start(scene, "filter", least=1)
    kept = [i for i in range(40) if i % 2]
    np.testing.assert_allclose(found.points, scene.points.positions[kept], rtol=1e-6)
    np.testing.assert_allclose(found.colors * 255, scene.points.colors[kept], rtol=1e-6)
    assert (found.triangulated, found.added) == (20, 0)


def test_filter_drops_what_masks_hide_from_all_training_views(plane_folder, tmp_path):
    folder = shutil.copytree(plane_folder, tmp_path / "copy")
    (folder / "masks").mkdir()
    left = np.full((144, 192), 255, np.uint8)
    left[:, :96] = 0
    cv2.imwrite(str(folder / "masks/0001.png"), left)
    scene = load_scene(folder)
    cloud = with_points(scene, 400).points
    view = scene.views[1]
    local = cloud.positions @ view.camera_from_world[:3, :3].T
    local = local + view.camera_from_world[:3, 3]
    x, y = (local @ view.intrinsics.T / local[:, 2:])[:, :2].T
    inside = (local[:, 2] > 0) & (x > 4) & (x < 188) & (y > 4) & (y < 140)
    inside &= np.abs(x - 96) > 4  # the lens moves the edge by a pixel or so
    seen = np.stack([np.flatnonzero(inside), np.ones(inside.sum(), int)], axis=-1)
    also = [[np.flatnonzero(inside & (x < 90))[0], 3]]  # another view sees this one
    cloud = dataclasses.replace(cloud, observations=np.concatenate([seen, also]))
    found = start(dataclasses.replace(scene, points=cloud), "filter", least=1)
    kept = inside & (x > 96)
    assert 10 < kept.sum() < inside.sum() - 10
    kept[also[0][0]] = True
    np.testing.assert_allclose(found.points, cloud.positions[kept], rtol=1e-6)


def test_filter_needs_to_know_who_sees_what(scene):
    with pytest.raises(UserError, match="use triangulate"):
        start(scene, "filter")
    cloud = dataclasses.replace(with_points(scene).points, observations=None)
    with pytest.raises(UserError, match="use triangulate"):
        start(dataclasses.replace(scene, points=cloud), "filter")


def test_random_points_lie_in_a_training_view_around_the_subject(scene):
    found = start(scene, "random")
    assert (found.triangulated, found.added) == (0, LEAST)
    in_view = np.zeros(LEAST, bool)
    for view in scene.named(train(scene)):
        local = found.points @ view.camera_from_world[:3, :3].T
        local = local + view.camera_from_world[:3, 3]
        pixels = local @ view.intrinsics.T / local[:, 2:]
        size = np.array([view.width, view.height]) + 1e-3
        in_view |= np.all((pixels[:, :2] >= -1e-3) & (pixels[:, :2] <= size), axis=-1)
    assert in_view.all()
    # the cameras stand two away from the plane they look at
    assert np.quantile(found.points[:, 2], 0.05) > -1.5
    assert np.quantile(found.points[:, 2], 0.95) < 4


def test_seeds_change_only_the_random_points(scene):
    first, second = start(scene, "triangulate"), start(scene, "triangulate", seed=1)
    same, count = np.array_equal, first.triangulated
    assert same(first.points[:count], second.points[:count])
    assert not same(first.points[count:], second.points[count:])


@pytest.mark.parametrize("protocol", ["triangulate", "random"])
def test_test_photos_and_the_captures_points_are_never_looked_at(
    protocol, plane_folder, tmp_path
):
    whole = load_scene(plane_folder)
    folder = shutil.copytree(plane_folder, tmp_path / "copy")
    (folder / "masks").mkdir()
    for view in whole.views[::2]:
        cv2.imwrite(str(folder / view.name), np.zeros((9, 9, 3), np.uint8))
        (folder / "masks" / f"{view.image_path.name}.png").write_text("no mask")
    noise = with_points(load_scene(folder))
    first, second = start(whole, protocol), start(noise, protocol)
    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(first.colors, second.colors)
