import gzip
import struct

import jax.numpy as jnp
import numpy as np
import pytest
import zstandard

from aw_jax.core.errors import UserError
from aw_jax.core.pytrees import replace
from aw_jax.geometry.rotations import matrix_from_quat
from aw_jax.splat import harmonics, spz
from aw_jax.splat.gaussians import empty
from aw_jax.splat.spz import load_spz, save_spz

# Half a step of each parameter, and what float32 adds.
STEPS = {
    "position": 2**-21,
    "size": 1 / 32,
    "rotation": 3 * 0.5**0.5 / 511,  # the largest part takes the errors of the others
    "opacity": 0.5 / 255,
    "color": 1 / 76.5,
    "first": 1 / 32,
    "higher": 1 / 16,
}


@pytest.fixture
def saved(tmp_path, draw_splat):
    path = tmp_path / "a.spz"
    save_spz(path, draw_splat())
    return path


def rewrite(path, change):
    payload = bytearray(gzip.decompress(path.read_bytes()))
    changed = change(payload)
    path.write_bytes(gzip.compress(payload if changed is None else changed))
    return path


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_round_trip_loses_half_a_step_at_most(tmp_path, draw_splat, errors, degree):
    splat = draw_splat(degree=degree)
    save_spz(tmp_path / "a.spz", splat)
    read = load_spz(tmp_path / "a.spz")
    assert read.sh.shape == splat.sh.shape
    for name, error in errors(splat, read).items():
        assert error <= STEPS[name] * (1 + 1e-5), name


def test_what_was_read_is_written_as_the_same_bytes(saved):
    save_spz(saved.with_name("b.spz"), load_spz(saved))
    assert saved.with_name("b.spz").read_bytes() == saved.read_bytes()


def test_empty_splat_round_trips(tmp_path):
    save_spz(tmp_path / "a.spz", empty())
    assert load_spz(tmp_path / "a.spz").sh.shape == (0, 16, 3)


@pytest.mark.parametrize(("largest", "bits"), [(0.1, 20), (7.9, 20), (8.1, 19)])
def test_largest_coordinate_sets_the_step(tmp_path, draw_splat, errors, largest, bits):
    splat = draw_splat()
    means = splat.means * (largest / jnp.abs(splat.means).max())
    splat = replace(splat, means=means)
    save_spz(tmp_path / "a.spz", splat)
    assert gzip.decompress((tmp_path / "a.spz").read_bytes())[13] == bits
    error = errors(splat, load_spz(tmp_path / "a.spz"))["position"]
    assert 2.0**-bits / 8 < error <= 2.0 ** -(bits + 1) * (1 + 1e-5)


def test_layout_of_one_gaussian(tmp_path, draw_splat):
    splat = replace(
        draw_splat(count=1, degree=1),
        means=jnp.asarray([[1.0, 2.0, -7.5]]),
        log_scales=jnp.asarray([[-10.0, 0.0, 5.0]]),
        quats=jnp.asarray([[2.0, 0.0, 0.0, 0.0]]),
        logit_opacities=jnp.asarray([0.0]),
        sh=jnp.asarray([[[0, 1, -1], [0.5, 0, 0], [0, 0.25, 0], [0, 0, -0.5]]], float),
    )
    save_spz(tmp_path / "a.spz", splat)
    found = gzip.decompress((tmp_path / "a.spz").read_bytes())
    assert found[:16] == struct.pack("<4sIIBBBB", b"NGSP", 3, 1, 1, 20, 0, 0)
    # y and z change sign: down and forward become up and back.
    fixed = [1 << 20, -(2 << 20), 7 << 20 | 1 << 19]
    assert found[16:25] == b"".join(struct.pack("<i", f)[:3] for f in fixed)
    assert list(found[25:32]) == [128, 128, 166, 89, 0, 160, 240]
    assert found[32:36] == struct.pack("<I", 3 << 30)  # w is the largest
    assert list(found[36:]) == [64, 128, 128, 128, 96, 128, 128, 128, 64]


def test_signs_of_harmonics_are_their_parity_between_the_frames():
    directions = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    here = harmonics.basis(jnp.asarray(directions), degree=3)
    there = harmonics.basis(jnp.asarray(directions * spz.FLIP), degree=3)
    np.testing.assert_allclose(there[:, 1:], here[:, 1:] * spz.FLIP_HARMONICS, 1e-5)


def test_signs_of_quaternions_turn_rotations_between_the_frames():
    quats = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    there = matrix_from_quat(quats * spz.FLIP_QUATS)
    wanted = np.diag(spz.FLIP) @ matrix_from_quat(quats) @ np.diag(spz.FLIP)
    np.testing.assert_allclose(there, wanted, atol=1e-6)


def test_values_beyond_the_format_are_clamped_and_counted(tmp_path, draw_splat, caplog):
    splat = draw_splat()
    splat = replace(
        splat,
        log_scales=splat.log_scales.at[3:5].set(-12.0),
        sh=splat.sh.at[7, 5, 2].set(2.0).at[9, 0].set(-4.0),
    )
    save_spz(tmp_path / "a.spz", splat)
    told = "\n".join(record.getMessage() for record in caplog.records)
    for what in ("log scales of 2", "harmonics of 1", "colors of 1"):
        assert f"the {what} Gaussians exceed" in told
    read = load_spz(tmp_path / "a.spz")
    np.testing.assert_array_equal(read.log_scales[3:5], -10.0)
    assert read.sh[7, 5, 2] == np.float32(127 / 128)


def test_opacities_of_0_and_1_are_read_finite(saved, draw_splat):
    rewrite(saved, lambda data: data.__setitem__(slice(376, 378), b"\x00\xff"))
    read = load_spz(saved)
    assert np.isfinite(read.logit_opacities).all()
    np.testing.assert_allclose(read.logit_opacities[:2], [-6.926, 6.926], atol=1e-3)
    save_spz(saved.with_name("b.spz"), read)
    assert gzip.decompress(saved.with_name("b.spz").read_bytes())[376:378] == b"\0\xff"


def test_harmonics_of_degree_4_are_dropped_with_a_warning(tmp_path, saved, caplog):
    payload = gzip.decompress(saved.read_bytes())
    head, sh = payload[: 16 + 20 * 40], payload[16 + 20 * 40 :]
    rows = np.frombuffer(sh, np.uint8).reshape(40, 45)
    more = np.concatenate([rows, np.full((40, 27), 9, np.uint8)], axis=1)
    head = head[:12] + b"\x04" + head[13:]
    (tmp_path / "b.spz").write_bytes(gzip.compress(head + more.tobytes()))
    np.testing.assert_array_equal(load_spz(tmp_path / "b.spz").sh, load_spz(saved).sh)
    assert "degree 4 are dropped" in caplog.text


def test_extensions_are_skipped_with_a_warning(saved, caplog):
    wanted = load_spz(saved).sh
    rewrite(saved, lambda data: data[:14] + b"\x02\x00" + data[16:] + bytes(300))
    np.testing.assert_array_equal(load_spz(saved).sh, wanted)
    assert "extensions are not read" in caplog.text


def field(form, at, value):
    return lambda data: struct.pack_into(form, data, at, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (field("<B", 0, 65), "begin with b'NGSP', got b'AGSP'"),
        (field("<I", 4, 1), "its version is 1"),
        (field("<I", 4, 4), "its version is 4"),
        (field("<I", 8, 41), "expected 2665 bytes, got 2600"),
        (field("<I", 8, 39), "expected 2535 bytes, got 2536 or more"),
        (field("<I", 8, 2**32 - 1), "got 2600"),
        (field("<B", 12, 5), "degree 0 to 4, got 5"),
        (field("<B", 12, 2), "expected 1760 bytes"),
        (field("<B", 13, 25), "expected 0 to 24 bits, got 25"),
        (lambda data: data[:15], "requires a buffer"),
        (lambda data: data[:-1], "expected 2600 bytes, got 2599"),
    ],
)
def test_wrong_header_is_a_user_error_that_says_why(saved, change, message):
    with pytest.raises(UserError, match=message) as error:
        load_spz(rewrite(saved, change))
    assert "\n" not in str(error.value)
    assert "a.spz" in str(error.value)


@pytest.mark.parametrize("cut", [2, 12, 300, -9, -8, -1])
def test_truncated_file_is_a_user_error(saved, cut):
    saved.write_bytes(saved.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"a\.spz: damaged"):
        load_spz(saved)


def test_bytes_after_the_end_are_a_user_error(saved):
    saved.write_bytes(saved.read_bytes() + b"xy")
    with pytest.raises(UserError, match="2 bytes after its end"):
        load_spz(saved)


def test_damaged_content_is_a_user_error(saved):
    data = bytearray(saved.read_bytes())
    data[len(data) // 2] ^= 255
    saved.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        load_spz(saved)


def version_4(payload, count, widths):
    """The same content in the container of version 4."""
    parts, at = [], 16
    for width in widths:
        parts.append(bytes(payload[at : at + count * width]))
        at += count * width
    packed = [zstandard.compress(part) for part in parts]
    header = bytearray(payload[:16])
    header[4], header[15] = 4, len(parts)
    sizes = [
        struct.pack("<QQ", len(z), len(p)) for z, p in zip(packed, parts, strict=True)
    ]
    return bytes(header) + struct.pack("<I12x", 32) + b"".join(sizes + packed)


@pytest.fixture
def saved_4(saved):
    payload = gzip.decompress(saved.read_bytes())
    path = saved.with_name("b.spz")
    path.write_bytes(version_4(payload, 40, (9, 1, 3, 3, 4, 45)))
    return path


def test_version_4_holds_the_same(saved, saved_4):
    save_spz(saved.with_name("c.spz"), load_spz(saved_4))
    assert saved.with_name("c.spz").read_bytes() == saved.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (field("<I", 4, 3), "its version is 3"),
        (field("<I", 8, 39), "stream 0: expected 351 bytes, got 360"),
        (field("<B", 15, 5), "expected 6 streams, got 5"),
        (field("<I", 16, 30), "stream 0"),
        (field("<I", 16, 2**31), "unpack_from requires"),
        (field("<Q", 32, 2**62), "a zstd frame|the file"),
        (field("<Q", 40, 2**62), "stream 0: expected 360 bytes"),
        (lambda data: data[:-1], "a zstd frame: expected 1800"),
        (lambda data: data + b"x", "the file: expected"),
        (lambda data: data[:31], "unpack_from requires"),
    ],
)
def test_wrong_table_is_a_user_error_that_says_why(saved_4, change, message):
    data = bytearray(saved_4.read_bytes())
    changed = change(data)
    saved_4.write_bytes(data if changed is None else changed)
    with pytest.raises(UserError, match=message):
        load_spz(saved_4)


def test_version_2_has_vectors_of_rotations(saved, errors):
    splat = load_spz(saved)
    flipped = np.asarray(splat.quats) * spz.FLIP_QUATS
    flipped *= np.sign(flipped[:, :1])
    vectors = np.rint(flipped[:, 1:] * 127.5 + 127.5).astype(np.uint8)
    start, end = 16 + 16 * 40, 16 + 20 * 40
    rewrite(saved, lambda d: d[:start] + vectors.tobytes() + d[end:])
    rewrite(saved, field("<I", 4, 2))
    found = errors(splat, load_spz(saved))
    assert found.pop("rotation") < 0.15  # w from its square loses most near w = 0
    assert not any(found.values())


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "row 6"), (2.0**24, "8388607")]
)
def test_what_spz_cannot_hold_is_not_written(tmp_path, draw_splat, value, message):
    splat = draw_splat()
    splat = replace(splat, means=splat.means.at[6, 1].set(value))
    with pytest.raises(UserError, match=message):
        save_spz(tmp_path / "a.spz", splat)
    assert not list(tmp_path.iterdir())
