"""Points triangulated from photos of a plane lie on the plane, the same every time."""

import cv2
import numpy as np
import pytest

from aw_jax.data.scenes import load_scene
from aw_jax.data.triangulation import TriangulationConfig, triangulate


@pytest.fixture(scope="module")
def points(plane_folder):
    return triangulate(load_scene(plane_folder).views[::2], TriangulationConfig())


def test_points_lie_on_the_plane(points):
    positions, _ = points
    assert len(positions) > 150
    # two units away at 180 px focal length: a pixel of disparity error is some 0.02
    assert np.median(np.abs(positions[:, 2])) < 0.005
    assert np.quantile(np.abs(positions[:, 2]), 0.95) < 0.04


def test_points_have_the_textures_colours(points, plane):
    positions, colors = points
    x, y = (positions[None, :, :2] * 100 + 200).astype(np.float32).transpose(2, 0, 1)
    blurred = cv2.GaussianBlur(plane.texture, (0, 0), 1.5)
    expected = cv2.remap(
        blurred, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )[0]
    assert np.median(np.abs(colors - expected / 255)) < 0.05


def test_two_runs_give_identical_points(points, plane_folder):
    again = triangulate(load_scene(plane_folder).views[::2], TriangulationConfig())
    for first, second in zip(points, again, strict=True):
        np.testing.assert_array_equal(first, second)


def test_two_views_are_enough_and_one_gives_nothing(plane_folder):
    views = load_scene(plane_folder).views
    assert len(triangulate(views[1:3], TriangulationConfig())[0]) > 50
    positions, colors = triangulate(views[:1], TriangulationConfig())
    assert positions.shape == colors.shape == (0, 3)


def test_photos_without_features_give_nothing(plane, tmp_path):
    plane.write(tmp_path)
    for path in (tmp_path / "images").iterdir():
        cv2.imwrite(str(path), np.full((144, 192, 3), 90, np.uint8))
    views = load_scene(tmp_path).views
    assert len(triangulate(views, TriangulationConfig())[0]) == 0
