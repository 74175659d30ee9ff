"""A written world is a capture that the scene readers take."""

import jax.numpy as jnp
import numpy as np

from aw_jax.data.procedural.captures import CaptureConfig, capture
from aw_jax.data.procedural.export import write
from aw_jax.data.procedural.rendering import depths
from aw_jax.data.procedural.seeds import TEST
from aw_jax.data.procedural.surface_points import SurfacePointsConfig, surface_points
from aw_jax.data.procedural.worlds import scene
from aw_jax.data.scenes import load_scene
from aw_jax.geometry.cameras import project


def test_a_written_world_reads_back_with_its_poses_and_points(tmp_path):
    world = scene(TEST.start + 2)
    cameras = capture(world, CaptureConfig(frames=9, width=49, height=49))
    folder = write(
        world, tmp_path / "scene", cameras, points=SurfacePointsConfig(count=200)
    )
    found = load_scene(folder)
    assert [view.name for view in found.views] == [
        f"images/{i:04d}.png" for i in range(9)
    ]
    for view, pose, k in zip(
        found.views, cameras.camera_from_world, cameras.intrinsics, strict=True
    ):
        np.testing.assert_allclose(view.camera_from_world, pose, atol=1e-5)
        np.testing.assert_allclose(view.intrinsics, k, atol=1e-4)
        assert (view.width, view.height) == (49, 49)
    assert found.points is not None
    assert len(found.points.positions) == 200


def test_noiseless_points_lie_on_what_the_views_see():
    world = scene(TEST.start + 2)
    cameras = capture(world, CaptureConfig(frames=9, width=49, height=49))
    seen = np.asarray(depths(world, cameras))
    exact = SurfacePointsConfig(count=100, noise=0.0, outliers=0.0)
    images = np.random.default_rng(0).uniform(size=(9, 49, 49, 3))
    rng = np.random.default_rng(1)
    points, _ = surface_points(images, seen, cameras, exact, rng=rng)
    pixels, z = (
        np.asarray(x) for x in project(cameras, jnp.asarray(points, jnp.float32))
    )
    near = np.full(len(points), np.inf)
    for v in range(9):
        inside = (pixels[v] > 0).all(-1) & (pixels[v] < 49).all(-1) & (z[v] > 0)
        x, y = np.floor(pixels[v][inside]).astype(int).T
        near[inside] = np.minimum(
            near[inside], np.abs(seen[v, y, x] / z[v][inside] - 1)
        )
    assert near.max() < 1e-3
