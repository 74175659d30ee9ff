"""Paths as users name them: an orbit, a file, between two views of a capture."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data.camera_files import write_cameras
from aw_jax.data.scenes import load_scene
from aw_jax.geometry.cameras import Cameras
from aw_jax.geometry.rotations import look_at
from aw_jax.geometry.turntable import turntable
from aw_jax.media import images
from aw_jax.reconstruct.camera_path import camera_path, image_size
from aw_jax.reconstruct.framing import frame_cameras

POINTS = np.random.default_rng(0).normal(size=(50, 3))
FLIP = np.diag([1.0, -1, -1, 1])


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Six views on an arc that look inwards; the fourth photo is upright."""
    folder = tmp_path_factory.mktemp("arc")
    frames = []
    for index, angle in enumerate(np.linspace(0, 1.5, 6)):
        eye = 3 * np.array([np.cos(angle), np.sin(angle), 0.4 + 0.1 * (index % 2)])
        pose = look_at(eye, np.zeros(3), np.array([0.0, 0, 1]))
        w, h = (30, 40) if index == 3 else (40, 30)
        name = f"images/IMG_{index:02d}.png"
        images.write(folder / name, np.zeros((h, w, 3), np.uint8))
        matrix = (np.linalg.inv(pose) @ FLIP).tolist()
        lens = {"w": w, "h": h, "fl_x": 33.0 + index, "cx": w / 2 - 1}
        frames.append({"file_path": name, "transform_matrix": matrix} | lens)
    (folder / "transforms.json").write_text(json.dumps({"frames": frames}))
    return folder


def between(scene, first, last, frames=9, **options):
    return camera_path(
        f"between:{first}:{last}", scene=scene, points=POINTS, frames=frames, **options
    )


@pytest.mark.parametrize("last", ["IMG_05.png", "images/IMG_03.png"])
def test_the_path_begins_and_ends_with_the_views_it_names(scene, last):
    path = between(scene, "IMG_01.png", last)
    assert path.intrinsics.shape == (9, 3, 3)
    assert (path.width, path.height) == (40, 30)
    for frame, name in ((0, "IMG_01.png"), (-1, last)):
        view = load_scene(scene).find(name, "test")
        expected = jnp.asarray(view.camera_from_world, jnp.float32)
        np.testing.assert_array_equal(path.camera_from_world[frame], expected)
        camera = Cameras(
            camera_from_world=expected,
            intrinsics=jnp.asarray(view.intrinsics, jnp.float32),
            width=view.width,
            height=view.height,
        )
        framed = frame_cameras(camera, width=40, height=30)
        np.testing.assert_array_equal(path.intrinsics[frame], framed.intrinsics)


def test_sizes_follow_the_first_view_and_stay_moderate(scene):
    view = load_scene(scene).views[0]
    assert image_size(view, (None, None)) == (40, 30)
    assert image_size(view, (80, None)) == (80, 60)
    assert image_size(view, (None, 60)) == (80, 60)
    assert image_size(view, (50, 20)) == (50, 20)
    large = type(view)(**{**vars(view), "width": 4000, "height": 3000})
    assert image_size(large, (None, None)) == (1280, 960)
    path = between(scene, "IMG_00.png", "IMG_01.png", size=(80, None))
    assert (path.width, path.height) == (80, 60)
    np.testing.assert_allclose(path.intrinsics[0, 0, 0], 66, rtol=1e-6)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("IMG_00.png:IMG_0l.png", "Did you mean 'IMG_0"),
        ("img_00.png:IMG_01.png", "Did you mean 'IMG_00.png'"),
        ("IMG_00.png:images/IMG_00.png", "twice"),
        ("IMG_00.png", "NAME_A:NAME_B"),
        (":IMG_00.png", "NAME_A:NAME_B"),
    ],
)
def test_views_that_are_none_are_refused(scene, names, told):
    with pytest.raises(UserError, match=told):
        camera_path(f"between:{names}", scene=scene, points=POINTS, frames=9)


def test_a_path_between_views_needs_their_scene():
    with pytest.raises(UserError, match="--scene=DIR"):
        between(None, "a.png", "b.png")


def test_an_orbit_is_the_turntable(tmp_path):
    path = camera_path("orbit", scene=None, points=POINTS, frames=4, size=(None, 60))
    expected = turntable(POINTS, frames=4, width=640, height=60)
    assert (path.width, path.height) == (640, 60)
    np.testing.assert_array_equal(path.camera_from_world, expected.camera_from_world)
    np.testing.assert_array_equal(path.intrinsics, expected.intrinsics)
    write_cameras(tmp_path / "path.json", path)
    again = camera_path(
        str(tmp_path / "path.json"), scene=None, points=POINTS, frames=9
    )
    np.testing.assert_array_equal(again.intrinsics, path.intrinsics)
    with pytest.raises(UserError, match="expected orbit, between"):
        camera_path("orbitt", scene=None, points=POINTS, frames=9)
