import math

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from aw_jax.core.errors import UserError
from aw_jax.splat.packed_ply import load_packed_ply

COUNT = 300
AXES = ["x", "y", "z", "scale_x", "scale_y", "scale_z", "r", "g", "b"]
WORDS = ["packed_position", "packed_rotation", "packed_scale", "packed_color"]


def elements(rest=9, bounds=9):
    """Elements of random bits: every word is a valid one."""
    draw = np.random.default_rng(0)
    names = [f"{end}_{axis}" for end in ("min", "max") for axis in AXES[:bounds]]
    chunk = np.empty(2, [(name, "f4") for name in names])
    for name in names:
        chunk[name] = draw.normal(size=2) + 3 * name.startswith("max")
    vertex = np.empty(COUNT, [(name, "u4") for name in WORDS])
    for name in WORDS:
        vertex[name] = draw.integers(2**32, size=COUNT, dtype=np.uint32)
    found = {"chunk": chunk, "vertex": vertex}
    if rest:
        sh = np.empty(COUNT, [(f"f_rest_{i}", "u1") for i in range(rest)])
        for name in sh.dtype.names:
            sh[name] = draw.integers(256, size=COUNT)
        sh["f_rest_0"][:2] = 0, 255
        found["sh"] = sh
    return found


def write(path, found, **options):
    PlyData([PlyElement.describe(v, k) for k, v in found.items()], **options).write(
        str(path)
    )
    return path


def slow(found, row):
    """One Gaussian, bit by bit: position, log scales, quaternion, opacity, sh."""
    chunk = found["chunk"][row // 256]
    words = {name: int(found["vertex"][name][row]) for name in WORDS}
    bits = lambda word, low, count: (word >> low) % 2**count / (2**count - 1)

    def mix(axis, share):
        if f"min_{axis}" not in chunk.dtype.names:
            return share
        low, high = float(chunk[f"min_{axis}"]), float(chunk[f"max_{axis}"])
        return low + (high - low) * share

    def vector(name, axes):
        word = words[name]
        shares = bits(word, 21, 11), bits(word, 11, 10), bits(word, 0, 11)
        return [mix(axis, share) for axis, share in zip(axes, shares, strict=True)]

    word = words["packed_rotation"]
    quat = [(bits(word, low, 10) - 0.5) * math.sqrt(2) for low in (20, 10, 0)]
    largest = math.sqrt(max(0, 1 - sum(q * q for q in quat)))
    quat.insert(word >> 30, largest)
    word = words["packed_color"]
    color = [
        mix(axis, bits(word, low, 8))
        for axis, low in zip("rgb", (24, 16, 8), strict=True)
    ]
    sh = [[(c - 0.5) / 0.28209479177387814 for c in color]]
    each = len(found["sh"].dtype) // 3 if "sh" in found else 0
    for u in range(each):
        steps = [int(found["sh"][f"f_rest_{c * each + u}"][row]) for c in range(3)]
        ends = {0: -4, 255: 4}
        sh.append([ends.get(step, (step + 0.5) / 32 - 4) for step in steps])
    position = vector("packed_position", "xyz")
    scale = vector("packed_scale", ["scale_x", "scale_y", "scale_z"])
    return position, scale, quat, bits(word, 0, 8), sh


@pytest.mark.parametrize(("rest", "bounds"), [(0, 9), (9, 9), (24, 6), (45, 9)])
def test_every_bit_is_where_the_format_has_it(tmp_path, rest, bounds):
    found = elements(rest, bounds)
    splat = load_packed_ply(write(tmp_path / "a.ply", found))
    opacity = 1 / (1 + np.exp(-np.asarray(splat.logit_opacities)))
    for row in [*range(5), 255, 256, COUNT - 1]:
        position, scale, quat, alpha, sh = slow(found, row)
        np.testing.assert_allclose(splat.means[row], position, atol=1e-6)
        np.testing.assert_allclose(splat.log_scales[row], scale, atol=1e-6)
        np.testing.assert_allclose(splat.quats[row], quat, atol=1e-6)
        np.testing.assert_allclose(opacity[row], alpha, atol=0.26 / 255)
        np.testing.assert_allclose(splat.sh[row], sh, atol=1e-5)


@pytest.mark.parametrize("options", [{"text": True}, {"byte_order": ">"}])
def test_other_encodings_read_alike(tmp_path, options):
    wanted = load_packed_ply(write(tmp_path / "a.ply", elements()))
    found = load_packed_ply(write(tmp_path / "b.ply", elements(), **options))
    np.testing.assert_array_equal(found.sh, wanted.sh)
    np.testing.assert_array_equal(found.quats, wanted.quats)


def without(name):
    return lambda found: {key: rows for key, rows in found.items() if key != name}


def renamed(element, old, new, kind=None):
    def change(found):
        rows = found[element]
        kinds = [
            (new if n == old else n, kind if kind and n == old else rows.dtype[n])
            for n in rows.dtype.names
        ]
        return found | {element: rows.astype(kinds)}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("chunk"), "element 'chunk' in a compressed"),
        (renamed("vertex", "packed_scale", "scale"), "'packed_scale' .* got none"),
        (renamed("vertex", "packed_scale", "packed_scale", "i4"), "type u4, got i4"),
        (renamed("chunk", "max_y", "top"), "'max_y' of 'chunk' expected type f4"),
        (renamed("chunk", "max_r", "top"), "'max_r' of 'chunk'"),
        (renamed("sh", "f_rest_2", "f_rest_x"), "'f_rest_2' of 'sh'"),
        (lambda f: f | {"chunk": f["chunk"][:1]}, "expected 2 rows of 'chunk' for 300"),
        (lambda f: f | {"sh": f["sh"][:-1]}, "expected 300 rows of 'sh'"),
        (lambda f: f | {"vertex": f["vertex"][:256]}, "expected 1 rows of 'chunk'"),
        (lambda f: f | {"sh": elements(1)["sh"]}, "9, 24 or 45 properties, got 1"),
    ],
)
def test_wrong_layout_is_a_user_error_that_says_why(tmp_path, change, message):
    with pytest.raises(UserError, match=message) as error:
        load_packed_ply(write(tmp_path / "a.ply", change(elements())))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "row"), [("max_x", 0), ("min_scale_y", 256)])
def test_bounds_not_finite_are_named_with_the_first_gaussian(tmp_path, name, row):
    found = elements()
    found["chunk"][name][row // 256] = np.nan
    with pytest.raises(UserError, match=f"in row {row};"):
        load_packed_ply(write(tmp_path / "a.ply", found))
