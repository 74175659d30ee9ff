"""A prepared folder holds what we fit to: same cameras, pixels, masks and points."""

import dataclasses
import json
import runpy
import shutil
from pathlib import Path

import cv2
import jax.numpy as jnp
import numpy as np
import pycolmap
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data.colmap_export import write_colmap
from aw_jax.data.initial_points import InitialPoints
from aw_jax.data.photos import PhotoSize, load_photo
from aw_jax.data.scenes import load_scene
from aw_jax.data.splits import SplitConfig, split
from aw_jax.data.views import file_stem
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.ply import save_ply

SCRIPTS = Path(__file__).parents[2] / "scripts"
SMALL = PhotoSize(max_side=96)


def cloud(count=7):
    rng = np.random.default_rng(0)
    return InitialPoints(
        points=rng.normal(size=(count, 3)).astype(np.float32),
        colors=rng.random((count, 3)).astype(np.float32),
        protocol="random",
        triangulated=0,
        added=count,
    )


@pytest.fixture
def masked(plane_folder, tmp_path):
    """The plane's capture; in its third photo a rectangle does not count."""
    folder = shutil.copytree(plane_folder, tmp_path / "plane")
    (folder / "masks").mkdir()
    mask = np.full((144, 192), 255, np.uint8)
    mask[20:70, 50:99] = 0
    cv2.imwrite(str(folder / "masks/0002.png"), mask)
    return folder


def check_same(scene, views, size, *, rigid=1e-12, measured=False):
    """The views of a prepared folder are these, at this size."""
    by_name = {view.name: view for view in scene.views}
    assert set(by_name) == {f"{file_stem(view.name)}.png" for view in views}
    for view in views:
        other = by_name[f"{file_stem(view.name)}.png"]
        ours, theirs = load_photo(view, size), load_photo(other)
        assert other.distortion.is_none
        assert (other.width, other.height) == theirs.known.shape[::-1]
        np.testing.assert_array_equal(np.round(ours.image * 255), theirs.image * 255)
        counts = ~ours.masked if measured else ours.known
        np.testing.assert_array_equal(theirs.known, counts)
        np.testing.assert_allclose(theirs.intrinsics, ours.intrinsics, rtol=1e-14)
        np.testing.assert_allclose(
            theirs.camera_from_world, ours.camera_from_world, rtol=0, atol=rigid
        )


def test_what_is_written_is_read_back(masked, tmp_path):
    views = load_scene(masked).views
    write_colmap(tmp_path / "out", views, SMALL, cloud())
    scene = load_scene(tmp_path / "out")
    check_same(scene, views, SMALL)
    assert not load_photo(scene.views[2]).known[25, 40]
    order = np.argsort(scene.points.positions[:, 0])
    expected = np.argsort(cloud().points[:, 0])
    np.testing.assert_array_equal(
        scene.points.positions[order], cloud().points[expected]
    )
    np.testing.assert_array_equal(
        scene.points.colors[order], np.round(cloud().colors[expected] * 255)
    )
    assert len(scene.points.observations) == 0
    model = pycolmap.Reconstruction(str(tmp_path / "out/sparse/0"))
    assert {camera.model.name for camera in model.cameras.values()} == {"PINHOLE"}


def test_names_become_flat_and_stay_apart(plane_folder, tmp_path):
    views = load_scene(plane_folder).views[:3]
    deep = dataclasses.replace(views[0], name="images/left/a.b.jpg")
    write_colmap(tmp_path / "out", [deep, *views[1:]], SMALL, cloud())
    names = {path.name for path in (tmp_path / "out/images").iterdir()}
    assert names == {"images_left_a.b.png", "images_0001.png", "images_0002.png"}
    twin = dataclasses.replace(views[1], name="images/left/a.b.png")
    with pytest.raises(UserError, match=r"both become images_left_a\.b\.png"):
        write_colmap(tmp_path / "twins", [deep, twin], SMALL, cloud())
    assert not (tmp_path / "twins").exists()


@pytest.fixture(scope="module")
def main():
    return runpy.run_path(str(SCRIPTS / "prepare_colmap.py"))["main"]


SPLIT = ("--config.split.views=3", "--config.split.protocol=views")


def test_the_script_writes_both_sides_of_the_split(masked, tmp_path, main, capsys):
    out = tmp_path / "out"
    options = (*SPLIT, "--config.split.test_every=2", "--config.photos.max_side=96")
    points = ("--config.points.protocol=random", "--config.points.least=9")
    assert main([str(masked), str(out), *options, *points]) == 0
    assert "3 training views" in capsys.readouterr().err
    scene = load_scene(masked)
    sides = split(scene, SplitConfig(protocol="views", views=3, test_every=2))
    for folder, names in ((out, sides.train), (out / "test", sides.test)):
        measured = folder != out
        check_same(load_scene(folder), scene.named(names), SMALL, measured=measured)
        assert len(load_scene(folder).points.positions) == 9
    assert [path.name for path in (out / "test/masks").iterdir()] == ["images_0002.png"]
    assert main([str(masked), str(out), *SPLIT]) == 2
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "expected SCENE OUT"),
        (("nowhere", "OUT"), "nowhere does not exist"),
        (("SCENE", "OUT", "--config.photo.max_side=3"), "Did you mean 'photos'"),
        (("SCENE", "OUT", "--config.split.test_every=1"), "test_every"),
    ],
)
def test_the_scripts_errors_are_one_line(
    arguments, told, plane_folder, tmp_path, main, capsys
):
    places = {"SCENE": str(plane_folder), "OUT": str(tmp_path / "out")}
    assert main([places.get(word, word) for word in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert told in line
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fox", "desk"])
def test_real_captures_are_read_back(name, real_scene, tmp_path):
    views = real_scene(name).views[:3]
    size = PhotoSize(short_side=144)
    write_colmap(tmp_path / "out", views, size, cloud())
    # a quaternion holds a rotation; what fox stores is one to eight digits
    check_same(load_scene(tmp_path / "out"), views, size, rigid=1e-7)


def test_a_peers_splat_is_scored_on_the_held_out_views(masked, tmp_path, capsys):
    """One that shows nothing is black; what a mask blackens counts as right."""
    score = runpy.run_path(str(SCRIPTS / "score_splat.py"))["main"]
    behind = Splat(
        means=jnp.full((5, 3), -1e3),
        log_scales=jnp.zeros((5, 3)),
        quats=jnp.ones((5, 4)),
        logit_opacities=jnp.zeros(5),
        sh=jnp.ones((5, 1, 3)),
    )
    save_ply(tmp_path / "peer.ply", behind)
    options = (*SPLIT, "--config.split.test_every=2", "--config.photos.max_side=96")
    places = (str(tmp_path / "peer.ply"), str(masked))
    score([*places, *options, "--config.metrics.lpips_net=none"])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    scene = load_scene(masked)
    sides = split(scene, SplitConfig(protocol="views", views=3, test_every=2))
    photos = [load_photo(view, SMALL) for view in scene.named(sides.test)]
    wrong = [np.where(p.masked[..., None], 0, p.image) ** 2 for p in photos]
    psnr = np.mean([-10 * np.log10(np.mean(square)) for square in wrong])
    assert told["views"]["test"] == list(sides.test)
    assert told["masks"]["test"] == 1
    assert told["final"]["psnr"] == pytest.approx(psnr, abs=0.01)
    assert told["gaussians"] == 5
    with pytest.raises(UserError, match="expected SPLAT SCENE"):
        score([places[0]])
