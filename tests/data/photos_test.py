"""Photos against the exact pinhole image, and the arithmetic of sizes."""

import dataclasses

import cv2
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data.photos import PhotoSize, decode, load_photo, load_photos
from aw_jax.data.scenes import load_scene
from aw_jax.data.views import View
from aw_jax.geometry.distortion import Distortion

# bicubic resampling of the texture, whose sharpest edges are two pixels wide
CLOSE = 6 / 255


def test_a_photo_is_the_pinhole_image_of_its_camera(plane_folder, plane):
    scene = load_scene(plane_folder)
    for view in scene.views[::3]:
        photo = load_photo(view)
        expected = plane.photo(view.camera_from_world, distorted=False) / 255
        difference = np.abs(photo.image - expected)[inner(photo.known)]
        assert np.quantile(difference, 0.99) < CLOSE
        np.testing.assert_array_equal(photo.intrinsics, plane.intrinsics)
        assert photo.image.dtype == np.float32


def inner(known):
    """Pixels whose neighbours are known too."""
    return cv2.erode(np.pad(known, 2).astype(np.uint8), np.ones((5, 5)))[2:-2, 2:-2] > 0


def test_a_smaller_photo_is_the_image_of_the_scaled_camera(plane_folder, plane):
    view = load_scene(plane_folder).views[1]
    photo = load_photo(view, PhotoSize(max_side=96))
    assert photo.image.shape == (72, 96, 3)
    np.testing.assert_allclose(photo.intrinsics[:2], plane.intrinsics[:2] / 2)
    expected = plane.photo(view.camera_from_world, distorted=False, size=(96, 72)) / 255
    difference = np.abs(photo.image - expected)[inner(photo.known)]
    assert np.quantile(difference, 0.99) < CLOSE


def test_a_smaller_copy_on_disk_gets_the_intrinsics_of_its_size(
    plane_folder, plane, tmp_path
):
    view = load_scene(plane_folder).views[1]
    small = plane.photo(view.camera_from_world, size=(96, 72))
    path = write(tmp_path / "small.png", small)
    photo = load_photo(dataclasses.replace(view, image_path=path))
    np.testing.assert_allclose(photo.intrinsics[:2], plane.intrinsics[:2] / 2)
    expected = plane.photo(view.camera_from_world, distorted=False, size=(96, 72)) / 255
    difference = np.abs(photo.image - expected)[inner(photo.known)]
    assert np.quantile(difference, 0.99) < 2 * CLOSE  # edges are a pixel wide here


def test_downscaling_averages_areas(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 18, 3), np.uint8)
    view = pinhole(write(tmp_path / "a.png", pixels), 18, 12)
    photo = load_photo(view, PhotoSize(downscale=3.0))
    expected = pixels.reshape(4, 3, 6, 3, 3).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(photo.image, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (PhotoSize(), (1080, 1920)),
        (PhotoSize(short_side=270), (270, 480)),
        (PhotoSize(max_side=480), (270, 480)),
        (PhotoSize(downscale=4.0), (270, 480)),
        (PhotoSize(downscale=7.0), (154, 274)),
        (PhotoSize(max_side=4000), (1080, 1920)),
        (PhotoSize(max_side=1), (1, 1)),
    ],
)
def test_sizes_keep_proportions_and_never_enlarge(size, expected):
    assert size.of(1080, 1920) == expected


@pytest.mark.parametrize(
    "fields", [{"max_side": 3, "downscale": 2.0}, {"max_side": 0}, {"downscale": 0.5}]
)
def test_sizes_that_cannot_be_are_refused(fields):
    with pytest.raises(UserError, match="photo size"):
        PhotoSize(**fields)


def test_photos_are_grouped_by_size_in_order(tmp_path):
    views = []
    for index, (width, height) in enumerate([(8, 6), (6, 8), (8, 6), (6, 8), (8, 6)]):
        pixels = np.full((height, width, 3), index, np.uint8)
        path = write(tmp_path / f"{index}.png", pixels)
        views.append(pinhole(path, width, height, offset=index))
    wide, tall = load_photos(views)
    assert (wide.names, tall.names) == (("0.png", "2.png", "4.png"), ("1.png", "3.png"))
    assert wide.targets.images.shape == (3, 6, 8, 3)
    np.testing.assert_allclose(wide.targets.images[:, 0, 0, 0] * 255, [0, 2, 4])
    assert wide.targets.weights is None
    cameras = tall.targets.cameras
    assert (cameras.width, cameras.height) == (6, 8)
    np.testing.assert_array_equal(cameras.camera_from_world[:, 0, 3], [1, 3])
    assert cameras.intrinsics.dtype == np.float32


def test_pixels_outside_the_lens_weigh_nothing(plane_folder, tmp_path):
    view = load_scene(plane_folder).views[0]
    pincushion = dataclasses.replace(view, distortion=Distortion(radial=(0.3,)))
    (group,) = load_photos([pincushion], PhotoSize(downscale=2.0))
    assert group.targets.weights is not None
    weights = np.asarray(group.targets.weights[0])
    assert set(np.unique(weights)) == {0.0, 1.0}
    assert weights[0, 0] == 0
    assert weights[36, 48] == 1


def exif_turned(pixels, orientation):
    """A JPEG of these pixels that says it is to be turned."""
    _, jpeg = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
    tag = b"\x01\x12\0\x03\0\0\0\x01" + bytes([0, orientation, 0, 0])
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + tag + bytes(4)
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    return jpeg.tobytes()[:2] + segment + jpeg.tobytes()[2:]


def test_exif_orientation_is_respected(tmp_path):
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:8, :8] = 255
    path = tmp_path / "turned.jpg"
    path.write_bytes(exif_turned(pixels, 6))  # shown turned a quarter clockwise
    upright = decode(pinhole(path, 32, 48))
    assert upright.shape == (48, 32, 3)
    assert upright[2, 29].min() > 200
    assert upright[2, 2].max() < 50
    stored = decode(pinhole(path, 48, 32))  # posed by a tool that ignores EXIF
    assert stored.shape == (32, 48, 3)
    assert stored[2, 2].min() > 200


def test_a_photo_of_other_proportions_is_refused(tmp_path):
    view = pinhole(write(tmp_path / "a.png", np.zeros((12, 18, 3), np.uint8)), 18, 18)
    with pytest.raises(UserError, match="18x12, but its camera is for 18x18"):
        load_photo(view)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_truncated_photo_is_refused(suffix, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    path = write(tmp_path / f"a{suffix}", pixels)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match="cannot be decoded"):
        load_photo(pinhole(path, 80, 60))


def pinhole(path, width, height, offset=0.0):
    pose = np.eye(4)
    pose[0, 3] = offset
    return View(
        name=path.name,
        image_path=path,
        camera_from_world=pose,
        intrinsics=np.array([[9.0, 0, width / 2], [0, 9.0, height / 2], [0, 0, 1]]),
        width=width,
        height=height,
    )


def write(path, rgb):
    assert cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return path
