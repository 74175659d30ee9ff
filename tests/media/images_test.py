import cv2
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.media import images


def picture():
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


def test_png_keeps_every_bit(tmp_path):
    images.write(tmp_path / "new/a.png", picture())
    np.testing.assert_array_equal(images.read(tmp_path / "new/a.png"), picture())
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.png"]


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_files_keep_the_colours_in_order(tmp_path, suffix):
    red = np.full((16, 16, 3), (250, 10, 60), np.uint8)
    images.write(tmp_path / f"a{suffix}", red)
    error = images.read(tmp_path / f"a{suffix}").astype(int) - red
    assert abs(error).max() < 8


def test_gray_and_transparent_files_become_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "gray.png"), picture()[..., 0])
    cv2.imwrite(str(tmp_path / "alpha.png"), np.zeros((6, 9, 4), np.uint8))
    gray = images.read(tmp_path / "gray.png")
    np.testing.assert_array_equal(gray, np.repeat(picture()[..., :1], 3, axis=-1))
    assert images.read(tmp_path / "alpha.png").shape == (6, 9, 3)


@pytest.mark.parametrize("data", [b"", b"no image at all"])
def test_a_file_that_is_no_image_is_named(tmp_path, data):
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(UserError, match=r"a\.png is no image"):
        images.read(tmp_path / "a.png")


def test_a_file_that_is_absent_is_named(tmp_path):
    with pytest.raises(UserError, match=r"b\.png: cannot be read \(No such file"):
        images.read(tmp_path / "b.png")


def test_unknown_suffix_is_refused_and_leaves_no_file(tmp_path):
    with pytest.raises(UserError, match=r"\.png, \.jpg.*got '\.xyz'"):
        images.write(tmp_path / "a.xyz", picture())
    assert not list(tmp_path.iterdir())
