"""Masks: found by every convention, taken the photo's way, refused in one line."""

import dataclasses
import json
import shutil

import cv2
import numpy as np
import pytest
from absl import logging

from aw_jax.core.errors import UserError
from aw_jax.data.features import detect
from aw_jax.data.photos import PhotoSize, load_photo, load_photos
from aw_jax.data.scenes import load_scene

BLOB = (slice(40, 90), slice(60, 110))


@pytest.fixture
def folder(plane_folder, tmp_path):
    return shutil.copytree(plane_folder, tmp_path / "plane")


def mask(path, hidden=BLOB, shape=(144, 192), white=255):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full(shape, white, np.uint8)
    picture[hidden] = 0
    assert cv2.imwrite(str(path), picture)
    return path


def named(folder, mask_path):
    """Lets the first frame of transforms.json name its mask."""
    content = json.loads((folder / "transforms.json").read_text())
    content["frames"][0]["mask_path"] = mask_path
    (folder / "transforms.json").write_text(json.dumps(content))


def first(scene, **options):
    return load_scene(scene, **options).views[0]


@pytest.mark.parametrize("name", ["0000.png.png", "0000.png"])
def test_masks_lie_beside_photos_by_name(folder, name):
    path = mask(folder / "masks" / name)
    views = load_scene(folder).views
    assert [view.mask_path for view in views] == [path, *[None] * 5]


def test_the_whole_name_comes_before_the_name_without_suffix(folder):
    mask(folder / "masks/0000.png")
    path = mask(folder / "masks/0000.png.png")
    assert first(folder).mask_path == path


def test_a_frame_names_its_own_mask(folder):
    mask(folder / "masks/0000.png.png")
    path = mask(folder / "people/a.png")
    named(folder, "./people/a.png")
    assert first(folder).mask_path == path


def test_smaller_photos_have_smaller_masks(folder):
    shutil.copytree(folder / "images", folder / "images_4")
    whole = mask(folder / "masks/0000.png.png")
    assert first(folder, folder="images_4").mask_path == whole
    small = mask(folder / "masks_4/0000.png.png")
    assert first(folder, folder="images_4").mask_path == small
    assert first(folder).mask_path == whole
    named(folder, "masks/0000.png.png")
    assert first(folder, folder="images_4").mask_path == small
    assert first(folder).mask_path == whole


def test_a_folder_of_masks_that_fit_no_photo_is_told(folder, monkeypatch):
    said = []
    monkeypatch.setattr(logging, "warning", lambda text, *a: said.append(text % a))
    mask(folder / "masks/other.png")
    load_scene(folder)
    assert len(said) == 1
    assert "0000.png.png" in said[0]


@pytest.mark.parametrize("size", [PhotoSize(), PhotoSize(max_side=70)])
def test_what_counts_does_not_depend_on_what_is_masked(folder, size):
    """Bit for bit, through undistortion and downscaling; and no more is lost."""
    view = first(folder)
    clean = load_photo(view, size)
    pixels = cv2.imread(str(view.image_path))
    pixels[BLOB] = (255, 0, 255)
    cv2.imwrite(str(view.image_path), pixels)
    mask(folder / "masks/0000.png")
    photo = load_photo(first(folder), size)
    np.testing.assert_array_equal(photo.image[photo.known], clean.image[photo.known])
    changed = (photo.image != clean.image).any(axis=-1)
    assert changed.sum() > 0.05 * changed.size
    assert not (changed & ~photo.masked).any()
    around = cv2.dilate(changed.astype(np.uint8), np.ones((3, 3))) > 0
    assert not (photo.masked & ~around).any()
    np.testing.assert_array_equal(photo.known, clean.known & ~photo.masked)


@pytest.mark.parametrize("white", [1, 255])
def test_anything_but_black_is_used(folder, white):
    mask(folder / "masks/0000.png", white=white)
    plain = dataclasses.replace(
        first(folder), distortion=type(first(folder).distortion)()
    )
    expected = np.zeros((144, 192), bool)
    expected[BLOB] = True
    np.testing.assert_array_equal(load_photo(plain).masked, expected)


def test_masked_pixels_weigh_nothing_and_the_switch_gives_them_back(folder):
    mask(folder / "masks/0000.png")
    views = load_scene(folder).views[:2]
    (group,) = load_photos(views)
    without = PhotoSize(use_masks=False)
    (whole,) = load_photos(views, without)
    lost = np.asarray(whole.targets.weights) - np.asarray(group.targets.weights)
    np.testing.assert_array_equal(lost == 1, group.targets.masked)
    assert 2500 <= lost[0].sum() < 3500
    assert not lost[1].any()
    assert whole.targets.masked is None
    assert load_scene(folder).without_masks().views[0].mask_path is None


def test_no_feature_is_found_where_a_mask_is_black(folder):
    everywhere = detect(load_photo(first(folder)), most=2000)
    mask(folder / "masks/0000.png", hidden=np.s_[:, :96])
    found = detect(load_photo(first(folder)), most=2000)
    assert (everywhere.positions[:, 0] < 90).any()
    assert len(found.positions) > 50
    assert found.positions[:, 0].min() > 90


def unreadable(folder):
    mask(folder / "masks/0000.png").write_bytes(b"\x89PNG no more")


DAMAGES = {
    "size": (
        lambda f: mask(f / "masks/0000.png", shape=(72, 96)),
        "expected 192x144 as its photo 0000.png, got 96x72",
    ),
    "unreadable": (unreadable, "missing or no image"),
    "empty": (
        lambda f: (f / "masks").mkdir() or (f / "masks/0000.png").touch(),
        "missing or no image",
    ),
    "black": (
        lambda f: mask(f / "masks/0000.png", hidden=np.s_[:]),
        "expected some white",
    ),
    "missing": (lambda f: named(f, "masks/nowhere.png"), "nowhere.png, the mask of"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_bad_masks_are_refused_where_they_are_used(name, folder):
    damage, told = DAMAGES[name]
    damage(folder)
    view = first(folder)
    with pytest.raises(UserError, match=told) as caught:
        load_photo(view)
    assert str(view.mask_path) in str(caught.value)
    load_photo(view, PhotoSize(use_masks=False))


def test_a_mask_of_which_nothing_is_left_is_refused(folder):
    speck = np.ones((144, 192), bool)
    speck[70:72, 90:92] = False
    mask(folder / "masks/0000.png", hidden=speck)
    assert load_photo(first(folder)).known.any()
    with pytest.raises(UserError, match="at 19x14"):
        load_photo(first(folder), PhotoSize(downscale=10.0))


@pytest.mark.parametrize("value", [3, "", "\n", ["a.png"]])
def test_a_mask_path_that_is_none_is_refused(folder, value):
    named(folder, value)
    with pytest.raises(UserError, match="mask_path"):
        load_scene(folder)
