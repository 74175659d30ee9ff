"""A small capture whose truth is known: photos of a textured plane, z = 0.

The photos are ray traced through the lens model, so poses, intrinsics, distortion and
points are exact. Real captures lie beside the repository, or where AW_SHARED points.
"""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from aw_jax.data.scenes import load_scene
from aw_jax.geometry.distortion import Distortion, undistort

WIDTH, HEIGHT = 192, 144
FOCAL = 180.0
LENS = Distortion(radial=(0.06, -0.02), tangential=(0.002, -0.001))


class Plane:
    """The capture: cameras on an arc before the plane, and its photos."""

    def __init__(self, count=6, distortion=LENS):
        rng = np.random.default_rng(3)
        noise = rng.uniform(0, 255, (400, 400, 3)).astype(np.float32)
        sharp, soft = (
            cv2.GaussianBlur(noise, (0, 0), 2),
            cv2.GaussianBlur(noise, (0, 0), 8),
        )
        mixed = (sharp - 128) * 3 + (soft - 128) * 6 + 128
        self.texture = np.clip(mixed, 0, 255).astype(np.uint8)
        self.distortion = distortion
        self.intrinsics = np.array(
            [[FOCAL, 0, 97.5], [0, FOCAL * 1.02, 70.0], [0, 0, 1]]
        )
        self.poses = [self.pose(a) for a in np.linspace(-0.35, 0.35, count)]

    @staticmethod
    def pose(angle):
        """camera_from_world at an angle on the arc, a little tilted."""
        c, s = np.cos(angle), np.sin(angle)
        turn = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
        tilt = cv2.Rodrigues(np.array([0.1, 0.0, 0.2 * angle]))[0]
        rotation = tilt @ turn
        center = np.array([2.0 * s, 0.2 * angle, -2.0 * c])
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation, -rotation @ center
        return pose

    def photo(self, pose, *, distorted=True, size=(WIDTH, HEIGHT)):
        """What the camera sees, RGB uint8, four rays a pixel."""
        k = np.diag([size[0] / WIDTH, size[1] / HEIGHT, 1]) @ self.intrinsics
        shown = np.zeros((size[1], size[0], 3), np.float64)
        for dx, dy in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)):
            grid = np.meshgrid(np.arange(size[0]) + dx, np.arange(size[1]) + dy)
            rays = (np.stack(grid, -1) - k[:2, 2]) / np.diag(k)[:2]
            if distorted:
                rays = undistort(rays, self.distortion)
            rays = (
                np.concatenate([rays, np.ones_like(rays[..., :1])], -1) @ pose[:3, :3]
            )
            center = -pose[:3, :3].T @ pose[:3, 3]
            hit = center + rays * (-center[2] / rays[..., 2:])
            at = (hit[..., :2] * 100 + 200).astype(np.float32)
            shown += cv2.remap(
                self.texture,
                at[..., 0],
                at[..., 1],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT,
            )
        return np.round(shown / 4).astype(np.uint8)

    def content(self, **changes):
        """The capture as a transforms.json."""
        (fx, _, cx), (_, fy, cy), _ = self.intrinsics
        p1, p2 = self.distortion.tangential
        k = dict(zip(("k1", "k2", "k3"), self.distortion.radial, strict=False))
        flip = np.diag([1.0, -1.0, -1.0, 1.0])
        return {
            "fl_x": fx,
            "fl_y": fy,
            "cx": cx,
            "cy": cy,
            "w": WIDTH,
            "h": HEIGHT,
            "p1": p1,
            "p2": p2,
            **k,
            "frames": [
                {
                    "file_path": f"./images/{index:04d}.png",
                    "transform_matrix": (np.linalg.inv(pose) @ flip).tolist(),
                }
                for index, pose in enumerate(self.poses)
            ],
            **changes,
        }

    def write(self, folder, **changes):
        """Photos and transforms.json in `folder`."""
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for index, pose in enumerate(self.poses):
            write_image(folder / f"images/{index:04d}.png", self.photo(pose))
        (folder / "transforms.json").write_text(json.dumps(self.content(**changes)))
        return folder


def write_image(path, rgb):
    assert cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))


@pytest.fixture(scope="session")
def plane():
    return Plane()


@pytest.fixture(scope="session")
def plane_folder(plane, tmp_path_factory):
    """The plane's capture on disk; not to be written to."""
    return plane.write(tmp_path_factory.mktemp("plane"))


@pytest.fixture(scope="session")
def real_scene():
    """Loads a real capture by name, or skips the test."""
    beside = Path(__file__).parents[3] / "shared"
    root = Path(os.environ.get("AW_SHARED", beside)) / "scenes"

    def load(name):
        if not (root / name).is_dir():
            pytest.skip(f"the real capture {root / name} is not here")
        return load_scene(root / name)

    return load
