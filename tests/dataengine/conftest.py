import json

import numpy as np
import pytest

from aw_jax.data.procedural import export
from aw_jax.data.procedural.captures import CaptureConfig, capture
from aw_jax.data.procedural.seeds import TEST
from aw_jax.data.procedural.surface_points import SurfacePointsConfig
from aw_jax.data.procedural.worlds import scene


@pytest.fixture(scope="session")
def captured(tmp_path_factory):
    """Ten photos of 49 x 49 of a procedural walk, as a capture on disk."""
    world = scene(TEST.start + 100)
    path = CaptureConfig(frames=10, width=49, height=49, sweep=(0.8, 0.8))
    folder = tmp_path_factory.mktemp("captured") / "walk"
    points = SurfacePointsConfig(count=300, outliers=0.0)
    return export.write(world, folder, capture(world, path), points=points)


@pytest.fixture(scope="session")
def twisted(captured, tmp_path_factory):
    """The same with one pose that is no rigid motion."""
    folder = tmp_path_factory.mktemp("twisted") / "walk"
    folder.mkdir()
    (folder / "images").symlink_to(captured / "images")
    text = (captured / "transforms.json").read_text()

    told = json.loads(text)
    pose = np.array(told["frames"][3]["transform_matrix"])
    pose[:3, 0] *= 3
    told["frames"][3]["transform_matrix"] = pose.tolist()
    (folder / "transforms.json").write_text(json.dumps(told))
    (folder / "points.ply").symlink_to(captured / "points.ply")
    return folder
