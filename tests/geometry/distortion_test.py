"""Distortion against OpenCV, against its own inverse, and on an image of known rays."""

import cv2
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.geometry.distortion import (
    Distortion,
    distort,
    fold_radius,
    source_pixels,
    undistort,
    undistorted,
)

LENSES = {
    "none": Distortion(),
    "one radial": Distortion(radial=(-0.12,)),
    "two radial": Distortion(radial=(0.06, -0.08)),
    "opencv": Distortion(radial=(-0.2, 0.05, 0.0, 0.0), tangential=(-0.004, 0.002)),
    "fisheye": Distortion(fisheye=True, radial=(0.03, -0.01, 0.002, -0.0005)),
}
lenses = pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES.keys())
K = np.array([[210.0, 0, 160.5], [0, 205.0, 118.0], [0, 0, 1]])
WIDTH, HEIGHT = 320, 240


@pytest.fixture
def rays():
    return np.random.default_rng(0).uniform(-0.8, 0.8, (5, 40, 2))


@lenses
def test_undistort_inverts_distort(lens, rays):
    np.testing.assert_allclose(undistort(distort(rays, lens), lens), rays, atol=1e-6)


@lenses
def test_distort_inverts_undistort_on_whole_images(lens):
    pixels, _ = source_pixels(K, lens, width=WIDTH, height=HEIGHT)
    rays = undistort((pixels - K[:2, 2]) / np.diag(K)[:2], lens)
    grid = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), -1) + 0.5
    # pixels are float32: half a unit in the last place of 320 is 1.5e-5
    np.testing.assert_allclose(rays * np.diag(K)[:2] + K[:2, 2], grid, atol=1e-4)


def test_perspective_lens_is_opencvs(rays):
    k1, k2, p1, p2, k3 = coefficients = (-0.2, 0.05, -0.004, 0.002, 0.01)
    lens = Distortion(radial=(k1, k2, k3), tangential=(p1, p2))
    points = np.pad(rays.reshape(-1, 2), ((0, 0), (0, 1)), constant_values=1.0)
    expected, _ = cv2.projectPoints(
        points, np.zeros(3), np.zeros(3), np.eye(3), np.array(coefficients)
    )
    np.testing.assert_allclose(
        distort(rays, lens).reshape(-1, 2), expected[:, 0], atol=1e-12
    )


def test_fisheye_lens_is_opencvs(rays):
    lens = LENSES["fisheye"]
    expected = cv2.fisheye.distortPoints(
        rays.reshape(-1, 1, 2), np.eye(3), np.array(lens.radial)
    )
    np.testing.assert_allclose(
        distort(rays, lens).reshape(-1, 1, 2), expected, atol=1e-12
    )


def test_rays_beyond_the_fold_are_never_returned():
    lens = Distortion(radial=(0.0, -0.2))
    fold = fold_radius(lens)
    assert fold == pytest.approx(1.0)  # 1 - 5 * 0.2 r^4 = 0
    beyond = np.array([[1.2, 0.0]])
    back = undistort(distort(beyond, lens), lens)
    assert np.all(np.linalg.norm(back, axis=-1) < fold)
    unreachable = np.array([[2.0, 0.0]])
    assert np.isnan(undistort(unreachable, lens)).all()


def test_a_vanishing_coefficient_does_not_hide_the_fold():
    assert fold_radius(Distortion(radial=(0.0, -0.2, 5e-324))) == pytest.approx(1.0)


def test_pixels_beyond_the_fold_are_unknown():
    intrinsics = np.array([[60.0, 0, 80], [0, 60.0, 60], [0, 0, 1]])
    lens = Distortion(radial=(0.0, -0.2))
    _, known = source_pixels(intrinsics, lens, width=160, height=120)
    assert known[60, 80]
    assert not known[60, 1]  # the ray at r = 1.3 lands inside the photo, folded back


def test_pixels_the_photo_does_not_hold_are_unknown():
    pincushion = Distortion(radial=(0.3,))
    _, known = source_pixels(K, pincushion, width=WIDTH, height=HEIGHT)
    assert not known[0].any()
    assert known[HEIGHT // 2, WIDTH // 2]
    _, known = source_pixels(K, Distortion(radial=(-0.1,)), width=WIDTH, height=HEIGHT)
    assert known.all()


@lenses
def test_photo_taken_through_a_lens_undistorts_to_the_pinhole_image(lens):
    grid = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), -1) + 0.5
    rays = (grid - K[:2, 2]) / np.diag(K)[:2]
    photo = checker(undistort(rays, lens))
    pixels, known = source_pixels(K, lens, width=WIDTH, height=HEIGHT)
    difference = undistorted(photo, pixels).astype(float) - checker(rays)
    whole = np.pad(known, 3).astype(np.uint8)
    inner = cv2.erode(whole, np.ones((7, 7)))[3:-3, 3:-3] > 0
    assert inner.mean() > 0.6
    # the pattern moves up to 38 levels a pixel: a shift of a half would err by 19
    assert np.abs(difference[inner]).max() <= 5
    assert np.abs(difference[inner]).mean() < 1


def checker(rays):
    """A smooth checker pattern of the ray direction, uint8, and its inverse."""
    wave = np.sin(np.nan_to_num(rays) * 65).prod(axis=-1)
    grey = np.round(127.5 + 120 * wave).astype(np.uint8)
    return np.stack([grey, 255 - grey], axis=-1)


def test_coefficients_no_lens_has_are_refused():
    for value in (np.nan, np.inf, 1e9):
        with pytest.raises(UserError, match="distortion coefficient"):
            Distortion(radial=(0.1, value))
