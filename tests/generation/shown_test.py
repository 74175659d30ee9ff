"""What a user shows: where it belongs, which frames count, how it is cropped."""

import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.generation import shown
from aw_jax.media import images, videos

SIZE = (17, 6, 8)


@pytest.fixture
def folder(tmp_path):
    clip = np.zeros((12, 6, 8, 3), np.uint8)
    clip[:] = np.arange(12)[:, None, None, None]
    videos.write_frames(tmp_path / "clip", clip)
    images.write(tmp_path / "a.png", clip[3])
    images.write(tmp_path / "b@2.png", clip[4])
    return tmp_path


@pytest.mark.parametrize(
    ("text", "frame", "strength"),
    [
        ("a.png", 0, 1.0),
        ("a.png@16", 16, 1.0),
        ("a.png@-1", 16, 1.0),
        ("a.png@3:0.25", 3, 0.25),
        ("b@2.png", 0, 1.0),
        ("b@2.png@2", 2, 1.0),
    ],
)
def test_a_flag_says_frame_and_strength(text, frame, strength, folder):
    got = shown.read("image", f"{folder}/{text}", SIZE)
    assert (got.frame, got.strength) == (frame, strength)
    assert got.frames.shape == (1, 6, 8, 3)


@pytest.mark.parametrize(
    ("text", "count"), [("clip", 9), ("clip@8", 9), ("clip@16", 1)]
)
def test_as_much_of_a_clip_is_kept_as_fits(text, count, folder):
    got = shown.read("clip", f"{folder}/{text}", SIZE)
    wanted = np.broadcast_to(np.arange(count)[:, None, None, None], (count, 6, 8, 3))
    np.testing.assert_allclose(got.frames, wanted / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        ("image", "d.png", "there is no"),
        ("image", "a.png@17", "below 17"),
        ("image", "a.png@-18", "below 17"),
        ("image", "a.png@0:0", r"strength must be in \(0, 1\]"),
        ("image", "a.png@0:1.5", r"strength must be in \(0, 1\]"),
        ("image", "a.png@0:1.5.2", r"strength must be in \(0, 1\]"),
        ("image", "clip", "cannot be read"),
        ("clip", "clip@4", "multiples of 8"),
    ],
)
def test_what_does_not_fit_is_refused(kind, text, told, folder):
    with pytest.raises(UserError, match=told):
        shown.read(kind, f"{folder}/{text}", SIZE)


def test_a_video_must_be_long_enough(folder):
    with pytest.raises(UserError, match=r"has 12 frames, 17 are asked for.*frames=9"):
        shown.read_video(folder / "clip", SIZE)


def test_the_middle_is_cropped_then_resized():
    """A column's own number shows which columns are left, and how they were mixed."""
    columns = np.broadcast_to(np.arange(12, dtype=np.uint8)[:, None], (1, 4, 12, 3))
    got = shown.fit(columns, height=2, width=2) * 255
    np.testing.assert_allclose(got[0, :, :, 0], [[4.5, 6.5]] * 2, atol=1e-5)
    same = shown.fit(columns, height=4, width=12) * 255
    np.testing.assert_allclose(same, columns, atol=1e-5)
    larger = shown.fit(columns, height=8, width=8) * 255
    assert larger.shape == (1, 8, 8, 3)
    np.testing.assert_allclose(larger[0, 0, [0, -1], 0], [4, 7], atol=1e-5)
