"""A procedural world as a capture on disk: photos, transforms.json, points.ply."""

from pathlib import Path
from typing import Any

import numpy as np
import plyfile

from aw_jax.core import atomic
from aw_jax.core.arrays import Float
from aw_jax.data.procedural.exposure import LAG, exposed
from aw_jax.data.procedural.rendering import depths
from aw_jax.data.procedural.surface_points import SurfacePointsConfig, surface_points
from aw_jax.data.procedural.worlds import ProceduralWorld
from aw_jax.geometry.cameras import Cameras
from aw_jax.images.quantise import quantise
from aw_jax.media import images as image_files

OPENGL_FROM_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])


def write(
    world: ProceduralWorld,
    path: str | Path,
    cameras: Cameras,
    *,
    points: SurfacePointsConfig | None = None,
    auto_exposure: bool = False,
) -> Path:
    """Writes a scene folder that every reader of transforms.json takes.

    Photos go to images/0000.png and on, one per camera, in order. With `points`, noisy
    surface points seen by any of the cameras go to points.ply, which the file names.
    With `auto_exposure` the world's camera exposes them as frames of a film, and each
    frame of the file holds its `exposure_gain` on linear light. transforms.json is
    written last.
    """
    folder = Path(path)
    images, gains = exposed(world, cameras, auto=auto_exposure, lag=LAG)
    names = [f"images/{i:04d}.png" for i in range(len(images))]
    for name, photo in zip(names, np.asarray(quantise(images)), strict=True):
        image_files.write(folder / name, photo)
    described = _transforms(cameras, names)
    if auto_exposure:
        for frame, gain in zip(described["frames"], gains, strict=True):
            frame["exposure_gain"] = float(gain)
    if points is not None:
        rng = np.random.default_rng([world.seed, 8])
        seen = np.asarray(images), np.asarray(depths(world, cameras))
        cloud = surface_points(*seen, cameras, points, rng=rng)
        _write_points(folder / "points.ply", *cloud)
        described["ply_file_path"] = "points.ply"
    atomic.write_json(folder / "transforms.json", described)
    return folder


def _transforms(cameras: Cameras, names: list[str]) -> dict[str, Any]:
    """The content of transforms.json: OpenGL camera-to-world, one pinhole per frame."""
    k = np.asarray(cameras.intrinsics, float)
    world_from_camera = np.linalg.inv(np.asarray(cameras.camera_from_world, float))
    poses = world_from_camera @ OPENGL_FROM_OPENCV
    frames = [
        {
            "file_path": name,
            "transform_matrix": pose.tolist(),
            "fl_x": m[0, 0],
            "fl_y": m[1, 1],
            "cx": m[0, 2],
            "cy": m[1, 2],
        }
        for name, pose, m in zip(names, poses, k, strict=True)
    ]
    return {"w": cameras.width, "h": cameras.height, "frames": frames}


def _write_points(
    path: Path, positions: Float[np.ndarray, "p 3"], colors: Float[np.ndarray, "p 3"]
) -> None:
    """A binary .ply with x y z and red green blue."""
    fields = [(axis, "<f4") for axis in "xyz"]
    fields += [(name, "u1") for name in ("red", "green", "blue")]
    rows = np.zeros(len(positions), dtype=fields)
    for i, axis in enumerate("xyz"):
        rows[axis] = positions[:, i]
    for i, name in enumerate(("red", "green", "blue")):
        rows[name] = np.floor(np.clip(colors[:, i], 0, 1) * 255 + 0.5)
    with atomic.replacing(path) as aside:
        plyfile.PlyData([plyfile.PlyElement.describe(rows, "vertex")]).write(str(aside))
