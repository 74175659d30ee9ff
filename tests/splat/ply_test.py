import contextlib

import jax
import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from aw_jax.core.errors import UserError
from aw_jax.splat.gaussians import Splat, empty
from aw_jax.splat.ply import load_ply, save_ply

INRIA = (
    ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    + [f"f_rest_{i}" for i in range(45)]
    + ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
)


def splat(count=7, degree=3):
    keys = iter(jax.random.split(jax.random.key(0), 5))
    draw = lambda *shape: jax.random.normal(next(keys), shape)
    return Splat(
        means=draw(count, 3),
        log_scales=draw(count, 3),
        quats=draw(count, 4),
        logit_opacities=draw(count),
        sh=draw(count, (degree + 1) ** 2, 3),
    )


def assert_same_bits(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.shape == y.shape
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "splat.ply"
    save_ply(path, splat())
    return path


def rewrite(path, change):
    path.write_bytes(change(path.read_bytes()))
    return path


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_round_trip_keeps_every_bit(tmp_path, degree):
    original = splat(degree=degree)
    save_ply(tmp_path / "a.ply", original)
    assert_same_bits(load_ply(tmp_path / "a.ply"), original)


def test_empty_splat_round_trips(tmp_path):
    save_ply(tmp_path / "a.ply", empty())
    assert_same_bits(load_ply(tmp_path / "a.ply"), empty())


def test_layout_is_that_of_inria(saved):
    header, _, body = saved.read_bytes().partition(b"end_header\n")
    lines = header.decode().splitlines()
    assert lines[:3] == ["ply", "format binary_little_endian 1.0", "element vertex 7"]
    assert lines[3:] == [f"property float {name}" for name in INRIA]
    rows = np.frombuffer(body, "<f4").reshape(7, len(INRIA))
    wanted = splat()
    np.testing.assert_array_equal(rows[:, :3], wanted.means)
    np.testing.assert_array_equal(rows[:, 9:24], wanted.sh[:, 1:, 0])  # all red first
    np.testing.assert_array_equal(rows[:, 54], wanted.logit_opacities)


@pytest.mark.parametrize(("text", "order"), [(True, "="), (False, ">"), (False, "<")])
def test_other_encodings_without_normals_are_read(saved, text, order):
    rows = PlyData.read(str(saved))["vertex"].data
    kept = [(name, "f8" if name == "x" else "f4") for name in INRIA if name[0] != "n"]
    other = np.empty(rows.size, kept)
    for name, _ in kept:
        other[name] = rows[name]
    element = PlyElement.describe(other, "vertex")
    PlyData([element], text=text, byte_order=order).write(str(saved))
    assert_same_bits(load_ply(saved), splat())


def test_saving_over_a_file_replaces_it_whole(saved):
    save_ply(saved, splat(count=2))
    assert load_ply(saved).means.shape == (2, 3)
    assert [p.name for p in saved.parent.iterdir()] == ["splat.ply"]


@pytest.mark.parametrize("cut", [2, 60, 700, 1500, -1])
def test_truncated_file_is_a_user_error(saved, cut):
    with pytest.raises(UserError, match=r"splat\.ply"):
        load_ply(rewrite(saved, lambda data: data[:cut]))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"float opacity", b"float opacitx", "'opacity' of 'vertex' is missing"),
        (b"float f_rest_3\n", b"float f_rest_x\n", "f_rest_0 to f_rest_n-1"),
        (b"float f_rest_44", b"float g_rest_44", "got 44"),
        (b"float scale_1", b"float scale_0", "two properties with same name"),
        (b"float scale_1", b"int scale_1", "'scale_1' expected type float"),
        (b"float scale_1", b"double scale_1", "cut short"),
        (b"float nx", b"uchar nx", "bytes more"),
        (b"vertex 7", b"vertex 6", "expected 6 rows as its header says"),
        (b"vertex 7", b"vertex 8", "cut short"),
        (b"vertex 7", b"vertex -7", "signed"),
        (b"vertex 7", b"vertex 99999999999999999999", r"splat\.ply"),
        (b"element vertex", b"element point", "expected an element 'vertex'"),
        (b"float nx", b"list uchar int nx", "mesh"),
        (b"binary_little_endian", b"binary_little_indian", "don't understand format"),
        (b"ply\n", b"plx\n", "begins with 'ply'"),
        (b"end_header", b"end_headex", "'end_header' line"),
    ],
)
def test_wrong_header_is_a_user_error_that_says_why(saved, old, new, message):
    with pytest.raises(UserError, match=message) as error:
        load_ply(rewrite(saved, lambda data: data.replace(old, new, 1)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["x", "f_dc_1", "f_rest_20", "opacity", "rot_3"])
def test_non_finite_value_is_named_with_its_first_row(saved, name, value):
    data = PlyData.read(str(saved), mmap=False)
    rows = np.array(data["vertex"].data)
    rows[name][[4, 6]] = value
    rows["scale_1"][5] = np.nan
    PlyData([PlyElement.describe(rows, "vertex")]).write(str(saved))
    with pytest.raises(UserError, match=f"'{name}' expected finite .* in row 4"):
        load_ply(saved)


def test_surplus_lines_of_text_are_a_user_error(saved):
    rows = PlyData.read(str(saved), mmap=False)["vertex"].data
    PlyData([PlyElement.describe(rows, "vertex")], text=True).write(str(saved))
    assert_same_bits(load_ply(saved), splat())
    with pytest.raises(UserError, match="1 lines more"):
        load_ply(rewrite(saved, lambda data: data + b"1 2 3\n"))


def test_missing_file_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load_ply(tmp_path / "none.ply")


def test_random_damage_is_read_or_told_never_a_crash(saved):
    whole = saved.read_bytes()
    draw = np.random.default_rng(0)
    header = whole.index(b"end_header") + 11
    for _ in range(100):
        data = bytearray(whole)
        for _ in range(draw.integers(1, 4)):
            data[draw.integers(header)] = draw.integers(256)
        if draw.random() < 0.2:
            data = data[: draw.integers(len(data))]
        saved.write_bytes(data)
        with contextlib.suppress(UserError):
            load_ply(saved)
