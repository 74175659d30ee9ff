import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data.camera_files import read_cameras, write_cameras
from aw_jax.geometry.cameras import Cameras, project
from aw_jax.geometry.rotations import look_at


def cameras():
    return Cameras(
        camera_from_world=jax.random.normal(jax.random.key(0), (3, 4, 4)),
        intrinsics=jax.random.normal(jax.random.key(1), (3, 3, 3)),
        width=8,
        height=6,
    )


def test_a_path_comes_back_bit_for_bit(tmp_path):
    write_cameras(tmp_path / "path.json", cameras())
    back = read_cameras(tmp_path / "path.json")
    assert (back.width, back.height) == (8, 6)
    np.testing.assert_array_equal(back.intrinsics, cameras().intrinsics)
    np.testing.assert_array_equal(
        back.camera_from_world, jnp.asarray(cameras().camera_from_world)
    )


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"width": 3}',
        '{"width": 3, "height": 2, "cameras": []}',
        '{"width": 3, "height": 2, "cameras": [{"intrinsics": [[1]]}]}',
        '{"width": 3, "height": 2, "cameras": [{"camera_from_world": [[1]]}]}',
    ],
)
def test_a_broken_file_is_the_users_error(tmp_path, text):
    (tmp_path / "path.json").write_text(text)
    with pytest.raises(UserError, match=r"path\.json"):
        read_cameras(tmp_path / "path.json")


EYE, AIM = np.array([1.0, 2.0, 3.0]), np.array([-2.0, 1.0, 0.5])


def viewers_path(**changes):
    """What nerfstudio's viewer writes: at EYE, seeing AIM, 40 degrees high, then 50."""
    pose = look_at(EYE, AIM, np.array([0.0, 0, 1]))
    world_from_camera = np.linalg.inv(pose) @ np.diag([1.0, -1, -1, 1])
    row = {"camera_to_world": world_from_camera.ravel().tolist(), "aspect": 2.0}
    return {
        "camera_type": "perspective",
        "render_height": 50,
        "render_width": 100,
        "camera_path": [row | {"fov": 40.0}, row | {"fov": 50.0}],
        "fps": 24,
        "seconds": 4,
        "keyframes": [],
        "is_cycle": False,
    } | changes


def write_path(tmp_path, content):
    (tmp_path / "path.json").write_text(json.dumps(content))
    return tmp_path / "path.json"


def test_nerfstudios_path_sees_what_its_viewer_shows(tmp_path):
    path = read_cameras(write_path(tmp_path, viewers_path()))
    assert (path.width, path.height) == (100, 50)
    forward = (AIM - EYE) / np.linalg.norm(AIM - EYE)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    top = np.tan(np.radians([20, 25]))  # half of the field of view, vertically
    points = EYE + forward + np.stack([0 * up, top[0] * up, top[1] * up + right / 9])
    pixels, depth = project(path, jnp.asarray(points, jnp.float32))
    np.testing.assert_allclose(depth, 1, rtol=1e-5)
    np.testing.assert_allclose(pixels[:, 0], [[50, 25], [50, 25]], atol=1e-3)
    np.testing.assert_allclose(pixels[0, 1], [50, 0], atol=1e-3)
    focal = 25 / top[1]
    np.testing.assert_allclose(pixels[1, 2], [50 + focal / 9, 0], atol=1e-3)


def damaged_row(**changes):
    return {"camera_path": [viewers_path()["camera_path"][0] | changes]}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"camera_type": "equirectangular"}, "perspective"),
        ({"camera_path": []}, "at least one camera"),
        ({"camera_path": [{}]}, "camera_to_world"),
        ({"camera_path": 3}, "TypeError"),
        ({"render_width": None}, "TypeError"),
        ({"render_width": 0}, "must be positive"),
        (damaged_row(fov=180), r"camera_path\[0\]\.fov: expected degrees"),
        (damaged_row(fov=None), "TypeError"),
        (damaged_row(camera_to_world=[1.0] * 12), "ValueError"),
        (damaged_row(camera_to_world=[2.0] * 16), "no rotation"),
        (damaged_row(camera_to_world=[float("nan")] * 16), "no finite number"),
    ],
)
def test_a_broken_path_of_nerfstudio_is_the_users_error(tmp_path, changes, told):
    file = write_path(tmp_path, viewers_path(**changes))
    with pytest.raises(UserError, match=told):
        read_cameras(file)
