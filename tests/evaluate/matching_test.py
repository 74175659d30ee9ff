import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.evaluate.matching import match_clips, match_images
from aw_jax.media import images, videos

FRAMES = np.zeros((2, 4, 6, 3), np.uint8)


@pytest.fixture
def folders(tmp_path):
    for name in ("pred", "gt"):
        (tmp_path / name).mkdir()
    return tmp_path / "pred", tmp_path / "gt"


def test_images_match_by_name_whatever_their_format(folders):
    pred, gt = folders
    for path in (pred / "b.jpg", pred / "a.png", gt / "b.png", gt / "c.png"):
        images.write(path, FRAMES[0])
    matched = match_images(pred, gt)
    (pair,) = matched.pairs
    assert (pair.name, pair.prediction, pair.truth) == (
        "b",
        pred / "b.jpg",
        gt / "b.png",
    )
    assert (matched.only_prediction, matched.only_truth) == (("a",), ("c",))


def test_a_video_matches_a_folder_of_frames(folders):
    pred, gt = folders
    videos.write(pred / "one.mp4", FRAMES)
    videos.write_frames(gt / "one", FRAMES)
    (pred / "empty").mkdir()
    (pair,) = match_clips(pred, gt).pairs
    assert (pair.prediction.name, pair.truth.name) == ("one.mp4", "one")


def test_a_folder_of_images_alone_is_one_clip(folders):
    for folder in folders:
        videos.write_frames(folder, FRAMES)
    assert len(match_clips(*folders).pairs) == 1
    assert len(match_images(*folders).pairs) == 2


def test_folders_that_share_no_name_are_told_with_examples(folders):
    pred, gt = folders
    images.write(pred / "a.png", FRAMES[0])
    images.write(gt / "z.png", FRAMES[0])
    with pytest.raises(UserError, match=r"no name occurs in both, e.g. 'a' and 'z'"):
        match_images(pred, gt)


def test_missing_and_empty_folders_are_named(folders, tmp_path):
    pred, gt = folders
    with pytest.raises(UserError, match=r"--pred=.*nowhere: expected a folder"):
        match_images(tmp_path / "nowhere", gt)
    images.write(pred / "a.png", FRAMES[0])
    with pytest.raises(UserError, match=r"--gt=.*gt: expected images"):
        match_images(pred, gt)


def test_two_files_of_one_name_are_refused(folders):
    pred, gt = folders
    images.write(pred / "a.png", FRAMES[0])
    images.write(pred / "a.jpg", FRAMES[0])
    with pytest.raises(UserError, match=r"a\.jpg and a\.png share the name 'a'"):
        match_images(pred, gt)
