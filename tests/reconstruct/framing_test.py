import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.geometry.cameras import Cameras, project
from aw_jax.reconstruct.framing import frame_cameras, frame_images


def cameras(width, height):
    return Cameras(
        camera_from_world=jnp.eye(4)[None],
        intrinsics=jnp.asarray(
            [[[50.0, 0, width / 2 - 3], [0, 52.0, height / 2 + 1], [0, 0, 1]]]
        ),
        width=width,
        height=height,
    )


@pytest.mark.parametrize("size", [(64, 96), (96, 64), (64, 64)])
def test_the_short_side_keeps_its_field_of_view(size):
    framed = frame_cameras(cameras(*size), width=32, height=32)
    before, after = cameras(*size).intrinsics[0], framed.intrinsics[0]
    scale = 32 / min(size)
    np.testing.assert_allclose(after[0, 0], before[0, 0] * scale)
    np.testing.assert_allclose(after[1, 1], before[1, 1] * scale)


@pytest.mark.parametrize("size", [(64, 96), (96, 64), (80, 60)])
def test_photos_and_cameras_are_framed_alike(size):
    """A smooth image of the ray direction reads the same through both cameras."""
    width, height = size

    def image(camera):
        x = jnp.arange(camera.width) + 0.5
        y = jnp.arange(camera.height) + 0.5
        k = camera.intrinsics[0]
        u = ((x - k[0, 2]) / k[0, 0])[None, :]
        v = ((y - k[1, 2]) / k[1, 1])[:, None]
        return jnp.stack([0.5 + 0.3 * u + 0 * v, 0.5 + 0.3 * v + 0 * u, u * v], -1)[
            None
        ]

    camera = cameras(width, height)
    framed = frame_cameras(camera, width=24, height=24)
    found = frame_images(image(camera), width=24, height=24)
    inside = (slice(None), slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(found[inside], image(framed)[inside], atol=2e-3)


def test_the_centre_stays_in_the_centre():
    camera = cameras(64, 96)
    point = jnp.asarray([[3 / 50 * 2.0, -1 / 52 * 2.0, 2.0]])
    np.testing.assert_allclose(project(camera, point)[0][0, 0], [32, 48], atol=1e-4)
    framed = frame_cameras(camera, width=32, height=32)
    np.testing.assert_allclose(project(framed, point)[0][0, 0], [16, 16], atol=1e-4)
