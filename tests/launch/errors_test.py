"""What a user can get wrong: one clear line, exit code 2, `--out` as it was."""

import json
import shutil

import cv2
import numpy as np
import pycolmap
import pytest

from aw_jax.data.procedural import captures, export, worlds
from aw_jax.data.procedural.seeds import TEST
from aw_jax.dataengine import manifest
from aw_jax.media import images, videos
from aw_jax.splat.gaussians import empty
from aw_jax.splat.ply import save_ply


@pytest.fixture(scope="module")
def good_scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good") / "scene"
    config = captures.CaptureConfig(frames=6, width=32, height=24)
    world = worlds.scene(TEST[5])
    return export.write(world, folder, captures.capture(world, config)) and folder


@pytest.fixture
def scene(good_scene, tmp_path):
    return shutil.copytree(good_scene, tmp_path / "scene")


def transforms(scene):
    return json.loads((scene / "transforms.json").read_text())


def change(scene, edit):
    data = transforms(scene)
    edit(data)
    (scene / "transforms.json").write_text(json.dumps(data))


def broken_json(scene):
    path = scene / "transforms.json"
    path.write_text(path.read_text()[:-40])


def nan_pose(scene):
    change(scene, lambda d: d["frames"][1]["transform_matrix"][0].__setitem__(3, None))


def unknown_camera(scene):
    change(scene, lambda d: d.update(camera_model="EQUIRECTANGULAR"))


def no_images(scene):
    for path in (scene / "images").iterdir():
        path.write_bytes(b"not an image at all")


def two_images(scene):
    for path in sorted((scene / "images").iterdir())[2:]:
        path.unlink()


def wrong_mask(scene):
    mask = np.full((20, 30, 3), 255, np.uint8)
    images.write(scene / "masks/0001.png.png", mask)


SCENES = {
    "wrong_mask": (wrong_mask, ()),
    "broken_json": (broken_json, ()),
    "nan_pose": (nan_pose, ()),
    "unknown_camera": (unknown_camera, ()),
    "no_images": (no_images, ()),
    "two_images": (two_images, ()),
    "missing_view": (
        lambda scene: None,
        ("--config.split.protocol=views", "--config.split.names=nowhere.png"),
    ),
    "empty_split": (
        lambda scene: None,
        ("--config.split.protocol=views", "--config.split.views=6"),
    ),
    "short_clip": (lambda scene: None, ("--config.loop.frames=8",)),
    "unknown_flag": (lambda scene: None, ("--sceen=x",)),
    "unknown_field": (lambda scene: None, ("--config.loop.round=3",)),
    "bad_value": (lambda scene: None, ("--config.loop.rounds=many",)),
    "no_model": (lambda scene: None, ("--config.model=nowhere",)),
}


@pytest.mark.parametrize("name", SCENES)
def test_reconstruct_says_one_line_and_touches_nothing(name, scene, tmp_path, launch):
    damage, arguments = SCENES[name]
    damage(scene)
    out = tmp_path / "out"
    told = launch(
        "reconstruct",
        f"--scene={scene}",
        f"--out={out}",
        "--config=configs/reconstruct_probe.py",
        *arguments,
    )
    assert told.status == 2, told.lines
    assert len(told.errors) == 1
    assert not any("Traceback" in line for line in told.lines)
    assert not out.exists()


@pytest.fixture(scope="module")
def colmap_scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colmap")
    options = pycolmap.SyntheticDatasetOptions()
    options.num_points3D, options.num_frames_per_rig = 30, 3
    model = pycolmap.synthesize_dataset(options)
    (folder / "sparse/0").mkdir(parents=True)
    model.write_binary(str(folder / "sparse/0"))
    for image in model.images.values():
        path = folder / "images" / image.name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((24, 32, 3), 90, np.uint8))
    return folder


@pytest.mark.parametrize("name", ["points3D.bin", "images.bin"])
@pytest.mark.parametrize("launcher", ["reconstruct", "fit"])
def test_truncated_models_say_one_line(launcher, name, colmap_scene, tmp_path, launch):
    scene = shutil.copytree(colmap_scene, tmp_path / "scene")
    file = scene / "sparse/0" / name
    file.write_bytes(file.read_bytes()[:-5])
    told = launch(launcher, f"--scene={scene}", f"--out={tmp_path / 'out'}")
    assert told.status == 2
    assert len(told.errors) == 1
    assert name in told.errors[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("between:0000.png:0003.png", "--scene"),
        ("between:0000.png:nowhere.png", "Did you mean"),
        ("nowhere.json", "expected orbit"),
    ],
)
def test_render_refuses_paths_that_are_none(path, told, scene, tmp_path, launch):
    save_ply(tmp_path / "splat.ply", empty(degree=0))
    given = [] if told == "--scene" else [f"--scene={scene}"]
    flags = [f"--splat={tmp_path / 'splat.ply'}", f"--out={tmp_path / 'out'}", *given]
    status = launch("render", f"--path={path}", *flags)
    assert status.status == 2
    assert len(status.errors) == 1
    assert told in status.errors[0]
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(scene, tmp_path, launch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    told = launch("reconstruct", f"--scene={scene}", f"--out={out}")
    assert told.status == 2
    assert "holds no run" in told.errors[0]
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("missing", ["scene", "out"])
def test_missing_flags_are_named(missing, tmp_path, launch):
    flags = {"scene": tmp_path, "out": tmp_path / "out"}
    del flags[missing]
    told = launch("fit", *(f"--{name}={path}" for name, path in flags.items()))
    assert told.status == 2
    assert f"--{missing} is missing" in told.errors[0]


@pytest.mark.parametrize("frames", [8, 12])
def test_restore_refuses_clips_of_wrong_length(frames, tmp_path, launch):
    picture = np.zeros((32, 32, 3), np.uint8)
    videos.write_frames(tmp_path / "clip", np.stack([picture] * frames))
    images.write(tmp_path / "view.png", picture)
    told = launch(
        "restore",
        f"--video={tmp_path / 'clip'}",
        f"--first={tmp_path / 'view.png'}",
        f"--last={tmp_path / 'view.png'}",
        f"--out={tmp_path / 'out'}",
        "--config.model=probe",
    )
    assert told.status == 2
    assert str(frames) in told.errors[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("scenes", ["procedural", "photos:1:2", "procedural:1:0"])
def test_simulate_refuses_scenes_it_cannot_make(scenes, tmp_path, launch):
    told = launch("simulate", f"--scenes={scenes}", f"--out={tmp_path / 'out'}")
    assert told.status == 2
    assert "--scenes" in told.errors[0]


@pytest.mark.parametrize("share", ["1", "2/2", "-1/2", "a/b"])
def test_simulate_refuses_shares_that_are_none(share, tmp_path, launch):
    told = launch(
        "simulate",
        "--scenes=procedural:0:1",
        f"--share={share}",
        f"--out={tmp_path / 'out'}",
    )
    assert told.status == 2
    assert "expected I/N" in told.errors[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("flag", ["--video=a.mp4", "--config.frames=9"])
def test_restore_takes_shards_or_one_clip(flag, tmp_path, launch):
    told = launch("restore", f"--clips={tmp_path}", flag, f"--out={tmp_path / 'out'}")
    assert told.status == 2
    assert f"leave {flag.partition('=')[0]} out" in told.errors[0]


def test_restore_refuses_folders_without_shards(tmp_path, launch):
    told = launch("restore", f"--clips={tmp_path}", f"--out={tmp_path / 'out'}")
    assert told.status == 2
    assert "expected *.arrayrecord shards" in told.errors[0]
    assert not (tmp_path / "out").exists()


def test_benchmark_refuses_manifests_that_are_none(tmp_path, launch):
    (tmp_path / "m.json").write_text("{}")
    flags = [f"--frozen={tmp_path / 'm.json'}", f"--out={tmp_path / 'out'}"]
    told = launch("benchmark", *flags)
    assert told.status == 2
    assert "expected a manifest" in told.errors[0]
    assert not (tmp_path / "out").exists()


def test_benchmark_refuses_another_config_than_the_frozen_one(tmp_path, launch):
    config = {"plan": {"single": 1}, "scenes": {}}
    empty = manifest.Manifest(config=config, platform="", versions={}, clips=())
    manifest.save(tmp_path / "m.json", empty)
    flags = [f"--frozen={tmp_path / 'm.json'}", f"--out={tmp_path / 'out'}"]
    told = launch("benchmark", *flags)
    assert told.status == 2
    assert "frozen with" in told.errors[0]
    assert not (tmp_path / "out").exists()
