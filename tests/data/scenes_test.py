"""COLMAP captures against pycolmap's own reading, and what recognition does."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest
from absl import logging

from aw_jax.core.errors import UserError
from aw_jax.data.scenes import load_scene
from aw_jax.geometry.distortion import distort

MODELS = {
    "SIMPLE_PINHOLE": [300.0, 161, 118],
    "PINHOLE": [300.0, 310, 161, 118],
    "SIMPLE_RADIAL": [300.0, 161, 118, 0.05],
    "RADIAL": [300.0, 161, 118, 0.05, -0.02],
    "OPENCV": [300.0, 310, 161, 118, 0.05, -0.02, 0.003, -0.001],
    "OPENCV_FISHEYE": [300.0, 310, 161, 118, 0.05, -0.02, 0.003, -0.001],
}


def synthesize(folder, model="OPENCV", *, cameras_per_rig=1, text=False, frames=3):
    """A COLMAP capture in `folder`, with small grey photos; returns the model."""
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig = 2, cameras_per_rig
    options.num_frames_per_rig, options.num_points3D = frames, 40
    options.camera_width, options.camera_height = 320, 240
    options.camera_model_id = getattr(pycolmap.CameraModelId, model)
    options.camera_params = MODELS.get(model, [300.0] * 2 + [160, 120] + [0.0] * 8)
    pycolmap.set_random_seed(4)
    reconstruction = pycolmap.synthesize_dataset(options)
    sparse = folder / "sparse/0"
    sparse.mkdir(parents=True)
    write = reconstruction.write_text if text else reconstruction.write_binary
    write(str(sparse))
    for image in reconstruction.images.values():
        path = folder / "images" / image.name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((24, 32, 3), 90, np.uint8))
    return reconstruction


def check_same(scene, expected):
    images = check_same_views(scene, expected)
    check_same_points(scene, expected, [image.image_id for image in images])


def check_same_views(scene, expected):
    images = sorted(expected.images.values(), key=lambda image: image.name.encode())
    assert [view.name for view in scene.views] == [image.name for image in images]
    for view, image in zip(scene.views, images, strict=True):
        pose = image.cam_from_world().matrix()
        np.testing.assert_allclose(view.camera_from_world[:3], pose, atol=1e-12)
        camera = expected.cameras[image.camera_id]
        assert (view.width, view.height) == (camera.width, camera.height)
        rays = np.random.default_rng(0).uniform(-0.4, 0.4, (20, 2))
        normalised = distort(rays, view.distortion)
        pixels = normalised * np.diag(view.intrinsics)[:2] + view.intrinsics[:2, 2]
        points = np.pad(rays, ((0, 0), (0, 1)), constant_values=1.0)
        np.testing.assert_allclose(pixels, camera.img_from_cam(points), atol=1e-9)
    return images


def check_same_points(scene, expected, image_ids):
    points = list(expected.points3D.values())
    ours, seen = scene.points, scene.points.observations
    order = [int(np.abs(ours.positions - p.xyz).sum(-1).argmin()) for p in points]
    assert sorted(order) == list(range(len(points)))
    for index, point in zip(order, points, strict=True):
        np.testing.assert_allclose(ours.positions[index], point.xyz, rtol=1e-12)
        np.testing.assert_array_equal(ours.colors[index], point.color)
        track = sorted(image_ids.index(e.image_id) for e in point.track.elements)
        assert sorted(seen[seen[:, 0] == index][:, 1]) == track


@pytest.mark.parametrize("text", [False, True], ids=["bin", "txt"])
@pytest.mark.parametrize("model", MODELS)
def test_colmap_model_is_read_as_pycolmap_reads_it(model, text, tmp_path):
    expected = synthesize(tmp_path, model, text=text)
    check_same(load_scene(tmp_path), expected)


@pytest.mark.parametrize("text", [False, True], ids=["bin", "txt"])
@pytest.mark.parametrize("keep_rigs", [False, True], ids=["no rigs", "rigs"])
def test_rigs_of_several_cameras_are_composed_poses(keep_rigs, text, tmp_path):
    expected = synthesize(tmp_path, cameras_per_rig=2, text=text)
    if not keep_rigs:
        for file in (tmp_path / "sparse/0").glob("rigs.*"):
            file.unlink()
        for file in (tmp_path / "sparse/0").glob("frames.*"):
            file.unlink()
    check_same(load_scene(tmp_path), expected)


def test_model_may_lie_in_sparse_itself(tmp_path):
    expected = synthesize(tmp_path)
    for file in (tmp_path / "sparse/0").iterdir():
        shutil.move(file, tmp_path / "sparse")
    check_same(load_scene(tmp_path), expected)


def test_model_without_points_is_a_scene_without_points(tmp_path):
    synthesize(tmp_path)
    (tmp_path / "sparse/0/points3D.bin").unlink()
    assert load_scene(tmp_path).points is None


def test_photos_come_from_the_largest_folder_or_the_one_asked_for(tmp_path):
    synthesize(tmp_path)
    shutil.copytree(tmp_path / "images", tmp_path / "images_4")
    shutil.copytree(tmp_path / "images", tmp_path / "images_8")
    assert folders(load_scene(tmp_path)) == {"images"}
    assert folders(load_scene(tmp_path, folder="images_8")) == {"images_8"}
    shutil.rmtree(tmp_path / "images")
    assert folders(load_scene(tmp_path)) == {"images_4"}
    with pytest.raises(UserError, match="images_2"):
        load_scene(tmp_path, folder="images_2")


def test_colmap_masks_have_the_whole_name_of_their_photo(tmp_path):
    model = synthesize(tmp_path)
    (tmp_path / "images/front").mkdir()
    for image in model.images.values():
        shutil.move(tmp_path / "images" / image.name, tmp_path / "images/front")
        image.name = f"front/{image.name}"
    model.write_binary(str(tmp_path / "sparse/0"))
    path = sorted((tmp_path / "images").rglob("*.png"))[0]
    mask = tmp_path / f"masks/front/{path.name}.png"
    mask.parent.mkdir(parents=True)
    shutil.copy(path, mask)
    masks = {view.image_path: view.mask_path for view in load_scene(tmp_path).views}
    assert masks.pop(path) == mask
    assert set(masks.values()) == {None}


def folders(scene):
    return {view.image_path.relative_to(scene.path).parts[0] for view in scene.views}


def test_missing_photos_are_skipped_with_one_warning_that_counts_them(
    tmp_path, monkeypatch
):
    synthesize(tmp_path)
    first, second, *_ = sorted((tmp_path / "images").rglob("*.png"))
    first.unlink()
    second.unlink()
    warnings = []
    monkeypatch.setattr(logging, "warning", lambda text, *a: warnings.append(text % a))
    scene = load_scene(tmp_path)
    assert len(scene.views) == 4
    assert len(scene.missing) == 2
    assert len(warnings) == 1
    assert "lists 6 photos; 2 of them are not on disk" in warnings[0]
    assert scene.points is not None
    assert scene.points.observations is not None
    assert set(scene.points.observations[:, 1]) <= {0, 1, 2, 3}


def test_fewer_than_three_photos_are_refused(tmp_path):
    synthesize(tmp_path)
    for path in sorted((tmp_path / "images").rglob("*.png"))[2:]:
        path.unlink()
    with pytest.raises(UserError, match="at least 3 readable photos, got 2"):
        load_scene(tmp_path)


def test_unknown_camera_model_lists_the_supported_ones(tmp_path):
    for text in (False, True):
        folder = tmp_path / str(text)
        synthesize(folder, "FULL_OPENCV", text=text)
        with pytest.raises(UserError, match=r"SIMPLE_PINHOLE, .*OPENCV_FISHEYE"):
            load_scene(folder)


def test_a_file_that_is_no_image_is_refused_by_name(tmp_path):
    synthesize(tmp_path)
    path = min((tmp_path / "images").rglob("*.png"))
    path.write_text("not a picture")
    with pytest.raises(UserError, match=f"{path} is no image"):
        load_scene(tmp_path)


def test_truncated_files_are_told_with_expected_and_got(tmp_path):
    synthesize(tmp_path)
    for name in ("cameras.bin", "images.bin", "points3D.bin"):
        path = tmp_path / "sparse/0" / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-5])
        message = one_line(tmp_path)
        assert name in message
        assert "expected" in message
        assert "got" in message
        path.write_bytes(whole)


def test_counts_that_lie_are_refused_before_anything_is_allocated(tmp_path):
    synthesize(tmp_path)
    for name in ("cameras.bin", "images.bin", "points3D.bin"):
        path = tmp_path / "sparse/0" / name
        whole = path.read_bytes()
        path.write_bytes((2**63).to_bytes(8, "little") + whole[8:])
        assert f"expected {2**63} records" in one_line(tmp_path)
        path.write_bytes(whole)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("1 0 0 0", "nan 0 0 0", "quaternion"),
        ("1 0 0 0", "0 0 0 0", "quaternion"),
        ("0.5 0 2 7", "inf 0 2 7", "pose"),
        ("0.5 0 2 7", "0.5 0 2 8", "names camera 8"),
        ("2 1 0 0 0 0.5", "1 1 0 0 0 0.5", "used twice"),
        ("b.png", "a.png", "listed twice"),
        ("1 0 0 0", "1 0 zero 0", "expected numbers"),
        ("PINHOLE 32", "ORTHO 32", "supported are SIMPLE_PINHOLE"),
        ("32 24 30", "32 0 30", "size"),
        ("24 30", "24 -30", "positive"),
        ("24 30", "24 nan", "finite"),
        (" 16 12\n", " 16\n", "expected 4 numbers, got 3"),
    ],
)
def test_impossible_values_are_refused_in_one_line(old, new, expected, tmp_path):
    write_text_model(tmp_path)
    for file in (tmp_path / "sparse/0").iterdir():
        file.write_text(file.read_text().replace(old, new, 1))
    assert expected in one_line(tmp_path)


def write_text_model(folder):
    """Three photos by hand: the smallest text model."""
    (folder / "sparse/0").mkdir(parents=True)
    (folder / "images").mkdir()
    (folder / "sparse/0/cameras.txt").write_text("# a\n7 PINHOLE 32 24 30 30 16 12\n")
    lines = ["# cameras"]
    for index, name in enumerate(("a.png", "b.png", "c d.png"), start=1):
        lines += [f"{index} 1 0 0 0 0.5 0 2 7 {name}", "" if index == 2 else "1 2 -1"]
        cv2.imwrite(str(folder / "images" / name), np.zeros((24, 32, 3), np.uint8))
    (folder / "sparse/0/images.txt").write_text("\n".join(lines) + "\n")


def test_text_names_may_hold_spaces_and_images_no_points(tmp_path):
    write_text_model(tmp_path)
    names = [view.name for view in load_scene(tmp_path).views]
    assert names == ["a.png", "b.png", "c d.png"]


def one_line(folder):
    with pytest.raises(UserError) as caught:
        load_scene(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_folder_of_nothing_known_is_refused(tmp_path):
    assert "expected a COLMAP model" in one_line(tmp_path)
    assert "does not exist" in one_line(tmp_path / "nowhere")
    (tmp_path / "sparse/0").mkdir(parents=True)
    (tmp_path / "sparse/0/cameras.bin").write_bytes(bytes(8))
    assert "cameras and images of one format" in one_line(tmp_path)


def test_real_captures_are_read(real_scene):
    fox, desk = real_scene("fox"), real_scene("desk")
    assert (fox.kind, len(fox.views), len(fox.missing)) == ("transforms", 50, 17)
    assert (desk.kind, len(desk.views), len(desk.missing)) == ("colmap", 29, 0)
    assert len(desk.points.positions) == 7562
    expected = pycolmap.Reconstruction(str(Path(desk.path) / "sparse/0"))
    check_same_views(desk, expected)
    assert len(desk.points.observations) == expected.compute_num_observations()
