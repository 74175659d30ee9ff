"""Other programs read our files, and we read theirs.

The golden holds files by splat-transform, with Niantic's .spz code inside, and what it
found in ours (scripts/goldens/splat_files.py). gaussforge reads ours live. It leaves an
.spz in the frame that it is stored in, so y and z change sign here.
"""

from pathlib import Path

import numpy as np
import pytest

from aw_jax.core.pytrees import replace
from aw_jax.splat import spz
from aw_jax.splat.files import load_splat, save_splat

GOLDEN = Path(__file__).parents[1] / "golden/splat_files.npz"
ROUNDING = 2e-6
# Steps of splat-transform: 12 fractional bits, and its harmonics fall up to a step of
# the byte, 1/128, off the middle.
STEPS = {
    "position": 2**-13,
    "size": 1 / 32,
    "rotation": 3 * 0.5**0.5 / 511,
    "opacity": 0.5 / 255,
    "color": 1 / 76.5,
    "first": 1 / 32 + 1 / 128,
    "higher": 1 / 16 + 1 / 128,
}


@pytest.fixture
def golden(tmp_path):
    with np.load(GOLDEN) as files:
        for name, data in files.items():
            (tmp_path / name).write_bytes(data.tobytes())
    return lambda name: load_splat(tmp_path / name)


@pytest.mark.parametrize("version", [3, 4])
def test_spz_of_others_is_read(golden, errors, version):
    found = errors(golden("small.ply"), golden(f"v{version}.spz"))
    for name, error in found.items():
        assert error <= STEPS[name] * 1.001, name


def test_compressed_ply_of_others_is_read_as_they_read_it(golden, errors):
    ours, theirs = golden("chunks.compressed.ply"), golden("chunks_read.ply")
    assert ours.sh.shape == (260, 4, 3)
    assert max(errors(ours, theirs).values()) <= ROUNDING


def test_our_spz_is_read_by_others_as_we_read_it(golden, errors):
    found = errors(golden("ours.spz"), golden("ours_spz_read.ply"))
    assert max(found.values()) <= ROUNDING


def test_our_splat_is_read_by_others_as_we_read_it(golden, errors):
    found = errors(golden("ours.splat"), golden("ours_splat_read.ply"))
    assert found.pop("rotation") < 0.01  # its zero is half a step from ours
    assert max(found.values()) <= ROUNDING


@pytest.fixture
def gaussforge():
    return pytest.importorskip("gaussforge").GaussForge()


def read_by(gaussforge, data, kind, folder):
    (folder / "read.ply").write_bytes(gaussforge.convert(data, kind, "ply")["data"])
    return load_splat(folder / "read.ply")


def flipped(splat):
    signs = np.concatenate([[1], spz.FLIP_HARMONICS]).astype(np.float32)
    return replace(
        splat,
        means=splat.means * spz.FLIP,
        quats=splat.quats * spz.FLIP_QUATS,
        sh=splat.sh * signs[:, None],
    )


@pytest.mark.parametrize("suffix", ["ply", "spz", "splat"])
def test_gaussforge_opens_our_files(gaussforge, draw_splat, errors, tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    save_splat(path, draw_splat(degree=0 if suffix == "splat" else 3))
    theirs = read_by(gaussforge, path.read_bytes(), suffix, tmp_path)
    found = errors(load_splat(path), flipped(theirs) if suffix == "spz" else theirs)
    assert found.pop("rotation") < (0.01 if suffix == "splat" else ROUNDING)
    assert max(found.values()) <= ROUNDING


@pytest.mark.parametrize("version", [2, 3, 4])
def test_every_version_of_gaussforge_is_read(
    gaussforge, draw_splat, errors, tmp_path, version
):
    save_splat(tmp_path / "a.ply", draw_splat())
    data = (tmp_path / "a.ply").read_bytes()
    written = gaussforge.convert(data, "ply", "spz", spz_version=version)["data"]
    (tmp_path / "b.spz").write_bytes(written)
    theirs = flipped(read_by(gaussforge, written, "spz", tmp_path))
    assert max(errors(load_splat(tmp_path / "b.spz"), theirs).values()) <= ROUNDING
