"""`convert` itself, and that other launchers read what it writes."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.splat.files import load_splat, save_splat
from aw_jax.splat.gaussians import Splat


@pytest.fixture
def source(tmp_path):
    draw = np.random.default_rng(0)
    cast = lambda values: jnp.asarray(values, jnp.float32)
    splat = Splat(
        means=cast(draw.normal(size=(30, 3))),
        log_scales=cast(draw.normal(-2, 1, (30, 3))),
        quats=cast(draw.normal(size=(30, 4))),
        logit_opacities=cast(draw.normal(size=30)),
        sh=cast(draw.uniform(-0.9, 0.9, (30, 16, 3))),
    )
    save_splat(tmp_path / "source.ply", splat)
    return tmp_path / "source.ply"


def converted(launch, source, target, *arguments):
    return launch("convert", f"--source={source}", f"--target={target}", *arguments)


def test_there_and_back(source, tmp_path, launch):
    there, back = tmp_path / "new/a.spz", tmp_path / "back.ply"
    told = converted(launch, source, there)
    assert told.status == 0, told.lines
    assert "a.spz: 30 Gaussians, 0.00" in told.lines[-1]
    assert converted(launch, there, back).status == 0
    np.testing.assert_array_equal(load_splat(back).sh, load_splat(there).sh)
    assert [path.name for path in there.parent.iterdir()] == ["a.spz"]


def test_ply_to_ply_keeps_every_byte_and_replaces_the_target(source, tmp_path, launch):
    (tmp_path / "b.ply").write_text("old")
    assert converted(launch, source, tmp_path / "b.ply").status == 0
    assert (tmp_path / "b.ply").read_bytes() == source.read_bytes()


def test_degree_leaves_harmonics_out(source, tmp_path, launch):
    told = converted(launch, source, tmp_path / "b.ply", "--config.degree=1")
    assert told.status == 0
    wanted = load_splat(source).sh[:, :4]
    np.testing.assert_array_equal(load_splat(tmp_path / "b.ply").sh, wanted)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target=b.spz"], "--source is missing"),
        (["--source=source.ply"], "--target is missing"),
        (["--source=none.ply", "--target=b.spz"], "no such file"),
        (["--source=source.ply", "--target=b.glb"], "expected a name that ends"),
        (["--source=source.ply", "--target=b.safetensors"], "expected a name that"),
        (["--source=source.ply", "--target=source.ply"], "another file"),
        (["--source=source.ply", "--target=."], "another file"),
        (["--source=source.ply", "--target=source.ply/b.spz"], "cannot be written"),
        (["--source=cut.ply", "--target=old.spz"], "cut.ply: damaged or cut short"),
        (["--source=old.spz", "--target=b.ply"], "expected a splat"),
        (["--source=source.ply", "--target=b.spz", "--out=run"], "--out is for"),
        (["--source=source.ply", "--target=b.spz", "--config.degree=4"], "0 to 3"),
        (["--source=source.ply", "--target=b.spz", "--config.degre=2"], "degree"),
    ],
)
def test_errors_are_one_line_and_touch_nothing(
    source, tmp_path, launch, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cut.ply").write_bytes(source.read_bytes()[:-3])
    (tmp_path / "old.spz").write_text("old")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    told = launch("convert", *arguments)
    assert told.status == 2, told.lines
    assert len(told.errors) == 1
    assert message in told.errors[0]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("suffix", ["spz", "splat"])
@pytest.mark.parametrize("cut", [0, 5])
def test_reconstruct_reads_its_start_before_anything_else(
    source, tmp_path, launch, suffix, cut
):
    target, out = tmp_path / f"a.{suffix}", tmp_path / "out"
    converted(launch, source, target, "--config.degree=0")
    data = target.read_bytes()
    target.write_bytes(data[: len(data) - cut])
    scene = tmp_path / "no_scene"
    scene.mkdir()
    told = launch(
        "reconstruct", f"--scene={scene}", f"--splat={target}", f"--out={out}"
    )
    assert told.status == 2
    assert target.name in told.errors[0] if cut else scene.name in told.errors[0]
    assert not out.exists()


def test_render_reads_spz(source, tmp_path, launch):
    converted(launch, source, tmp_path / "a.spz")
    told = launch(
        "render",
        f"--splat={tmp_path / 'a.spz'}",
        f"--out={tmp_path / 'out'}",
        "--config.frames=1",
        "--config.width=32",
        "--config.height=16",
    )
    assert told.status == 0, told.lines
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics == {"frames": 1, "gaussians": 30}
