import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data.camera_files import read_cameras, write_cameras
from aw_jax.geometry.cameras import Cameras


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
