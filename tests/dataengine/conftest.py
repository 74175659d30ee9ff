import json

import numpy as np
import pytest

from aw_jax.data.procedural import export
from aw_jax.data.procedural.captures import CaptureConfig, capture
from aw_jax.data.procedural.seeds import TEST
from aw_jax.data.procedural.surface_points import SurfacePointsConfig
from aw_jax.data.procedural.worlds import scene
from aw_jax.dataengine.gate import GateConfig
from aw_jax.dataengine.simulation import SimulationConfig
from aw_jax.dataengine.sparse_fit import SparseFitConfig
from aw_jax.splat.fit_config import FitConfig


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


@pytest.fixture(scope="session")
def tiny():
    """The smallest simulation by optimisation, a scene to a unit."""
    return SimulationConfig(
        frames=9,
        width=49,
        height=49,
        sparse=SparseFitConfig(
            views=(2, 3),
            steps=(4, 8),
            snapshots=(0.5, 1.0),
            surface=(40, 80),
            start=100,
            fit=FitConfig(capacity=120, sh_degree=0),
        ),
        paths=2,
        gate=GateConfig(
            least_psnr=0.0,
            most_psnr=99.0,
            least_coverage=0.0,
            least_light=0.0,
            most_motion=90.0,
        ),
        scenes_per_shard=1,
    )
