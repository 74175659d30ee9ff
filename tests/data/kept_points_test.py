"""Kept points are what a run would find itself, and are never those of another run."""

import dataclasses
import shutil

import cv2
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data import kept_points
from aw_jax.data.initial_points import InitialPointsConfig, initial_points
from aw_jax.data.kept_points import made_from, triangulated
from aw_jax.data.scenes import load_scene
from aw_jax.data.triangulation import TriangulationConfig

CONFIG = TriangulationConfig()


@pytest.fixture(scope="module")
def folder(plane_folder, tmp_path_factory):
    return shutil.copytree(plane_folder, tmp_path_factory.mktemp("kept") / "plane")


@pytest.fixture(scope="module")
def views(folder):
    return load_scene(folder).views[:2]


@pytest.fixture(scope="module")
def kept(folder, views):
    file = folder.parent / "points" / "plane.npz"
    triangulated(views, CONFIG, file)
    return file


def test_a_second_run_matches_nothing_and_starts_alike(folder, kept, monkeypatch):
    scene, config = load_scene(folder), InitialPointsConfig(least=600)
    names = [view.name for view in scene.views[:2]]
    own = initial_points(scene, names, config, seed=3)
    monkeypatch.delattr(kept_points, "triangulate")
    again = initial_points(scene, names, config, seed=3, kept=kept)
    assert own.triangulated > 50
    assert own.added > 0
    for name, value in vars(own).items():
        np.testing.assert_array_equal(value, getattr(again, name))


def test_points_of_other_settings_or_views_are_refused(views, kept):
    fewer = dataclasses.replace(CONFIG, features=100)
    moved = dataclasses.replace(views[1], intrinsics=views[1].intrinsics + np.eye(3))
    with pytest.raises(UserError, match="got those of others"):
        triangulated(views, fewer, kept)
    for other in (views[:1], views[::-1], (views[0], moved)):
        with pytest.raises(UserError, match="got those of others"):
            triangulated(other, CONFIG, kept)


def test_a_changed_photo_or_mask_is_noticed(views, tmp_path):
    first = made_from(views, CONFIG)
    photo, mask = tmp_path / "photo.png", tmp_path / "mask.png"
    cv2.imwrite(str(photo), cv2.imread(str(views[0].image_path)) // 2)
    cv2.imwrite(str(mask), np.full((144, 192), 255, np.uint8))
    for change in ({"image_path": photo}, {"mask_path": mask}):
        other = dataclasses.replace(views[0], **change)
        assert made_from((other, views[1]), CONFIG) != first
    moved = shutil.copy(views[0].image_path, tmp_path / "moved.png")
    same = dataclasses.replace(views[0], image_path=moved)
    assert made_from((same, views[1]), CONFIG) == first


def test_another_file_is_refused(views, tmp_path):
    text, arrays = tmp_path / "text.npz", tmp_path / "arrays.npz"
    text.write_text("no points")
    np.savez(arrays, points=np.zeros((5, 3)), colors=np.zeros((5, 3)))
    for file in (text, arrays):
        with pytest.raises(UserError, match="kept by an earlier fit"):
            triangulated(views, CONFIG, file)
