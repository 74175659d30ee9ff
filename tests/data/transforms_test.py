"""transforms.json in its dialects, against a capture whose cameras are known."""

import json
import shutil

import cv2
import numpy as np
import plyfile
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data.scenes import load_scene


@pytest.fixture
def capture(plane, tmp_path):
    """Writes the plane's transforms.json with changes, and small grey photos."""
    (tmp_path / "images").mkdir()
    for index in range(len(plane.poses)):
        grey(tmp_path / f"images/{index:04d}.png")

    def write(*, without=(), **changes):
        content = plane.content(**changes)
        for key in without:
            del content[key]
        (tmp_path / "transforms.json").write_text(json.dumps(content))
        return tmp_path

    return write


def grey(path, width=64, height=48):
    path.parent.mkdir(exist_ok=True, parents=True)
    cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))


def test_poses_are_turned_from_opengl_and_intrinsics_kept(capture, plane):
    scene = load_scene(capture())
    assert scene.kind == "transforms"
    assert [view.name for view in scene.views[:2]] == [
        "images/0000.png",
        "images/0001.png",
    ]
    for view, pose in zip(scene.views, plane.poses, strict=True):
        np.testing.assert_allclose(view.camera_from_world, pose, atol=1e-12)
        np.testing.assert_allclose(view.intrinsics, plane.intrinsics)
        assert view.distortion.radial[:2] == plane.distortion.radial
        assert view.distortion.tangential == plane.distortion.tangential
        assert (view.width, view.height) == (192, 144)


def test_a_field_of_view_alone_gives_square_pixels_and_a_centred_axis(capture):
    without = ("fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "k2", "p1", "p2")
    view = load_scene(capture(without=without, camera_angle_x=0.8)).views[0]
    focal = 32 / np.tan(0.4)
    np.testing.assert_allclose(
        view.intrinsics, [[focal, 0, 32], [0, focal, 24], [0, 0, 1]]
    )
    assert (view.width, view.height) == (64, 48)  # the photo's own
    assert view.distortion.is_none


def test_both_fields_of_view_are_used(capture):
    scene = load_scene(
        capture(without=("fl_x", "fl_y"), camera_angle_x=0.8, camera_angle_y=0.5)
    )
    fx, fy, _ = np.diag(scene.views[0].intrinsics)
    assert fx == pytest.approx(96 / np.tan(0.4))
    assert fy == pytest.approx(72 / np.tan(0.25))


def test_one_focal_length_serves_both_axes(capture):
    fx, fy, _ = np.diag(load_scene(capture(without=("fl_y",))).views[0].intrinsics)
    assert fx == fy


def test_a_frame_may_have_its_own_camera(capture, plane):
    frames = plane.content()["frames"]
    frames[2] |= {"fl_x": 77.0, "w": 96, "h": 72, "cx": 40.0, "k1": 0.5}
    views = load_scene(capture(frames=frames)).views
    assert views[2].intrinsics[0].tolist() == [77.0, 0, 40.0]
    assert (views[2].width, views[2].height) == (96, 72)
    assert views[2].distortion.radial[0] == 0.5
    assert (views[1].width, views[1].height) == (192, 144)


@pytest.mark.parametrize(
    "says", [{"camera_model": "OPENCV_FISHEYE"}, {"is_fisheye": True}]
)
def test_fisheye_takes_four_radial_terms(says, capture):
    lens = load_scene(capture(**says, k3=0.03, k4=0.04)).views[0].distortion
    assert lens.fisheye
    assert lens.radial[2:] == (0.03, 0.04)


def test_paths_may_lack_their_suffix_or_use_backslashes(capture, plane):
    frames = plane.content()["frames"]
    frames[0]["file_path"] = "images/0000"
    frames[1]["file_path"] = "images\\0001.png"
    views = load_scene(capture(frames=frames)).views
    assert views[0].image_path.name == "0000.png"
    assert views[1].name == "images/0001.png"


def test_dl3dv_folder_with_smaller_photos_only(capture):
    root = capture()
    nested = root / "scene/nerfstudio"
    nested.mkdir(parents=True)
    shutil.move(root / "images", nested / "images_4")
    shutil.move(root / "transforms.json", nested)
    scene = load_scene(root / "scene")
    assert scene.views[0].name == "images/0000.png"
    assert scene.views[0].image_path == nested / "images_4/0000.png"
    assert scene.views[0].width == 192  # intrinsics speak of the stored size


def test_a_transforms_file_may_be_named_itself(capture):
    root = capture()
    (root / "transforms.json").rename(root / "other.json")
    assert len(load_scene(root / "other.json").views) == 6


@pytest.mark.parametrize("colored", [False, True])
def test_points_share_the_poses_frame_whatever_transform_was_applied(
    colored, capture, plane
):
    fields = [("x", "f4"), ("y", "f4"), ("z", "f4")]
    colors = [("red", "u1"), ("green", "u1"), ("blue", "u1")] if colored else []
    points = np.zeros(5, fields + colors)
    points["y"] = np.arange(5)
    if colored:
        points["green"] = 200
    moved = [[0, 1, 0, 5.0], [1, 0, 0, 0], [0, 0, -1, 0]]
    root = capture(ply_file_path="sparse_pc.ply", applied_transform=moved)
    plyfile.PlyData([plyfile.PlyElement.describe(points, "vertex")]).write(
        str(root / "sparse_pc.ply")
    )
    scene = load_scene(root)
    assert scene.points is not None
    np.testing.assert_array_equal(scene.points.positions[:, 1], np.arange(5))
    assert scene.points.colors[0].tolist() == ([0, 200, 0] if colored else [128] * 3)
    assert scene.points.observations is None
    np.testing.assert_allclose(
        scene.views[0].camera_from_world, plane.poses[0], atol=1e-12
    )


def broken(plane, edit):
    frames = plane.content()["frames"]
    edit(frames[1])
    return {"frames": frames}


def put(row, column, value):
    def edit(frame):
        frame["transform_matrix"][row][column] = value

    return edit


def double_scale(frame):
    frame["transform_matrix"] = (2 * np.array(frame["transform_matrix"])).tolist()


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (put(0, 3, float("nan")), "no finite number"),
        (put(1, 1, float("inf")), "no finite number"),
        (put(0, 0, 7.0), "orthonormal"),
        (put(2, 3, None), "no finite number"),
        (put(2, 3, "far"), "4 rows of 4 numbers"),
        (double_scale, "orthonormal"),
        (lambda frame: frame.pop("transform_matrix"), "4 rows of 4 numbers"),
        (lambda frame: frame.pop("file_path"), "file_path"),
        (lambda frame: frame.update(file_path="images/0000.png"), "listed twice"),
        (lambda frame: frame.update(k1="big"), '"k1" to be a number'),
        (lambda frame: frame.update(k1=float("nan")), '"k1" to be a number'),
        (lambda frame: frame.update(fl_x=-5), "positive"),
        (lambda frame: frame.update(w=0), "size"),
        (lambda frame: frame.update(w=10**400), '"w" to be a number'),
    ],
)
def test_an_impossible_frame_is_refused_in_one_line(edit, expected, capture, plane):
    assert expected in one_line(capture(**broken(plane, edit)))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"camera_model": "EQUIRECTANGULAR"}, "supported are SIMPLE_PINHOLE"),
        ({"frames": {}}, '"frames", a list'),
        ({"frames": [3, 4, 5]}, '"frames", a list'),
        ({"ply_file_path": 3}, "ply_file_path"),
        ({"ply_file_path": "images/0000.png"}, "is no .ply"),
    ],
)
def test_an_impossible_file_is_refused_in_one_line(changes, expected, capture):
    assert expected in one_line(capture(**changes))


def test_a_camera_without_focal_length_is_refused(capture):
    message = one_line(capture(without=("fl_x", "fl_y")))
    assert '"fl_x" or "camera_angle_x"' in message


@pytest.mark.parametrize("text", ["{", "[1, 2]", "\xff", "[" * 100_000, "1" * 9000])
def test_broken_json_is_refused_in_one_line(text, capture):
    root = capture()
    (root / "transforms.json").write_bytes(text.encode("latin-1"))
    assert str(root / "transforms.json") in one_line(root)


def one_line(folder):
    with pytest.raises(UserError) as caught:
        load_scene(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message
