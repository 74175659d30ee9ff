import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.media import images, videos


def frames(count=9, height=48, width=64):
    rows, columns = np.mgrid[:height, :width]
    ramp = [(rows * 3 + 4 * i) % 200 for i in range(count)]
    red = np.stack([np.full((height, width), 230)] * count)
    other = np.stack([columns * 2] * count)
    return np.stack([red, np.stack(ramp), other], axis=-1).astype(np.uint8)


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def test_mp4_comes_back_close_in_colour_and_rate(tmp_path):
    videos.write(tmp_path / "a.mp4", frames(), fps=12.5)
    clip = videos.read(tmp_path / "a.mp4")
    assert clip.fps == 12.5
    assert clip.frames.shape == frames().shape
    assert psnr(clip.frames, frames()) > 35  # 4:2:0 at crf 18
    assert abs(clip.frames[..., 0].astype(int) - 230).max() < 12  # BT.709 both ways


def test_the_same_frames_give_the_same_bytes():
    assert videos.encode(frames()) == videos.encode(frames())


def test_odd_sides_are_padded(tmp_path):
    videos.write(tmp_path / "a.mp4", frames(3, 33, 47))
    back = videos.read(tmp_path / "a.mp4").frames
    assert back.shape == (3, 34, 48, 3)
    assert psnr(back[:, :33, :47], frames(3, 33, 47)) > 30


def test_a_folder_of_frames_is_a_clip_in_the_order_of_names(tmp_path):
    videos.write_frames(tmp_path, frames())
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".hidden.png").touch()
    clip = videos.read(tmp_path)
    np.testing.assert_array_equal(clip.frames, frames())
    assert clip.fps is None


def test_limit_stops_reading(tmp_path):
    videos.write(tmp_path / "a.mp4", frames())
    videos.write_frames(tmp_path / "b", frames())
    assert len(videos.read(tmp_path / "a.mp4", limit=4).frames) == 4
    assert len(videos.read(tmp_path / "b", limit=4).frames) == 4


def test_frames_of_two_sizes_are_refused_by_name(tmp_path):
    videos.write_frames(tmp_path, frames(2))
    images.write(tmp_path / "z.png", np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(UserError, match=r"z\.png has 5x4 .* 00000\.png has 64x48"):
        videos.read(tmp_path)


def test_what_is_no_clip_is_named(tmp_path):
    with pytest.raises(UserError, match=r"c\.mp4: expected a video"):
        videos.read(tmp_path / "c.mp4")
    (tmp_path / "c.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match=r"c\.mp4 is no video"):
        videos.read(tmp_path / "c.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="expected image files"):
        videos.read(tmp_path / "empty")
