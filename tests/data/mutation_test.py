"""Damaged captures: a clear error or a sound scene, never another exception nor a hang.

Sound means what the containers promise: three views or more, finite rigid poses, points
that are finite. A change that leaves the file well formed is read as it now stands.
"""

import json
import random
import shutil
import struct
import time

import cv2
import numpy as np
import pycolmap
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data.photos import PhotoSize, load_photos
from aw_jax.data.scenes import load_scene

SOME = 60
ALL = 200
SECONDS = 10.0  # a sound read takes milliseconds; the machine may be busy

seeds = pytest.mark.parametrize(
    "seeds",
    [range(SOME), pytest.param(range(SOME, ALL), marks=pytest.mark.slow)],
    ids=["some", "rest"],
)
JUNK = [None, True, -1, 0, 1e308, 10**400, float("nan"), "", "\0", "/", [], {}, [[[]]]]


@pytest.fixture(scope="module")
def colmap_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colmap")
    options = pycolmap.SyntheticDatasetOptions()
    options.num_points3D, options.num_frames_per_rig = 30, 3
    options.camera_model_id = pycolmap.CameraModelId.OPENCV
    options.camera_width, options.camera_height = 32, 24
    options.camera_params = [30, 30, 16, 12, 0.05, -0.02, 0.003, -0.001]
    pycolmap.set_random_seed(4)
    model = pycolmap.synthesize_dataset(options)
    (folder / "sparse/0").mkdir(parents=True)
    model.write_binary(str(folder / "sparse/0"))
    for image in model.images.values():
        path = folder / "images" / image.name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((24, 32, 3), 90, np.uint8))
    return folder


def mutated(data, rng):
    """`data` with one to three wounds of the kinds disks and uploads inflict."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) + 1)
        length = rng.choice([1, 4, 8, 40])
        kind = rng.choice(["cut", "drop", "repeat", "noise", "number"])
        if kind == "cut":
            del data[max(at, 1) :]
        elif kind == "drop":
            del data[at : at + length]
        elif kind == "repeat":
            data[at:at] = data[at : at + length]
        elif kind == "noise":
            data[at : at + length] = rng.randbytes(length)
        else:
            data[at : at + 8] = extreme(rng)
    return bytes(data)


def extreme(rng):
    values = [2**63, 2**32 - 1, 0]
    floats = [float("nan"), float("inf"), 1e308, -1e-308]
    packed = [struct.pack("<Q", v) for v in values]
    return rng.choice(packed + [struct.pack("<d", v) for v in floats])


def outcome(folder):
    """ "read" or "refused"; fails on anything else."""
    begin, told = time.perf_counter(), ""
    try:
        scene = load_scene(folder)
        check_sound(scene)
        load_photos(scene.views[:2], PhotoSize(downscale=2.0))
    except UserError as error:
        told = str(error)
    assert time.perf_counter() - begin < SECONDS
    assert "\n" not in told
    assert len(told) < 1500
    return "refused" if told else "read"


def check_sound(scene):
    assert len(scene.views) >= 3
    for view in scene.views:
        rotation = view.camera_from_world[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=2e-3)
        assert np.isfinite(view.camera_from_world).all()
    if scene.points is not None:
        assert np.isfinite(scene.points.positions).all()
        if scene.points.observations is not None:
            point, view = scene.points.observations.T
            assert point.max(initial=0) < max(1, len(scene.points.positions))
            assert view.max(initial=0) < len(scene.views)


@seeds
@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_damaged_colmap_file(name, seeds, colmap_folder, tmp_path):
    folder = shutil.copytree(colmap_folder, tmp_path / "scene")
    path = folder / "sparse/0" / name
    whole = path.read_bytes()
    seen = set()
    for seed in seeds:
        path.write_bytes(mutated(whole, random.Random(seed)))
        seen.add(outcome(folder))
    assert "refused" in seen


@seeds
def test_damaged_transforms_bytes(seeds, plane, tmp_path):
    folder, content = small_capture(plane, tmp_path)
    whole = json.dumps(content, indent=1).encode()
    seen = set()
    for seed in seeds:
        damaged = mutated(whole, random.Random(seed))
        (folder / "transforms.json").write_bytes(damaged)
        seen.add(outcome(folder))
    assert seen == {"read", "refused"}


@seeds
def test_transforms_with_junk_for_a_value(seeds, plane, tmp_path):
    folder, content = small_capture(plane, tmp_path)
    seen = set()
    for seed in seeds:
        rng = random.Random(seed)
        damaged = json.loads(json.dumps(content))
        plant(damaged, rng)
        (folder / "transforms.json").write_text(json.dumps(damaged))
        seen.add(outcome(folder))
    assert seen == {"read", "refused"}


def small_capture(plane, folder):
    (folder / "images").mkdir()
    for index in range(len(plane.poses)):
        path = str(folder / f"images/{index:04d}.png")
        cv2.imwrite(path, np.full((24, 32, 3), 90, np.uint8))
    return folder, plane.content(ply_file_path="none.ply")


def plant(node, rng):
    """Puts junk at a random place of the tree."""
    keys = list(node) if isinstance(node, dict) else range(len(node))
    key = rng.choice(list(keys))
    child = node[key]
    if isinstance(child, dict | list) and child and rng.random() < 0.8:
        plant(child, rng)
    else:
        node[key] = rng.choice(JUNK)
