import struct

import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.core.pytrees import replace
from aw_jax.splat.dot_splat import load_dot_splat, save_dot_splat
from aw_jax.splat.gaussians import empty
from aw_jax.splat.harmonics import DC

# Half a step of each parameter; sizes pass through exp and log in float32.
STEPS = {
    "position": 0,
    "size": 1e-6,
    "rotation": 1 / 64,  # steps of 1/128, and then made unit again
    "opacity": 0.5 / 255,
    "color": 0.5 / 255 / DC,
    "first": 0,
    "higher": 0,
}


@pytest.fixture
def saved(tmp_path, draw_splat):
    save_dot_splat(tmp_path / "a.splat", draw_splat(degree=0))
    return tmp_path / "a.splat"


def test_round_trip_loses_half_a_step_at_most(saved, draw_splat, errors):
    for name, error in errors(draw_splat(degree=0), load_dot_splat(saved)).items():
        assert error <= STEPS[name] * (1 + 1e-5), name


def test_what_was_read_is_written_alike(saved, errors):
    splat = load_dot_splat(saved)
    save_dot_splat(saved, splat)
    found = errors(splat, load_dot_splat(saved))
    assert found["rotation"] <= 1 / 64
    assert found["size"] <= 1e-6
    assert max(found[name] for name in ("position", "opacity", "color")) == 0


def test_layout_of_one_gaussian(tmp_path, draw_splat):
    splat = replace(
        draw_splat(count=1, degree=0),
        means=jnp.asarray([[1.0, 2.0, -7.5]]),
        log_scales=jnp.zeros((1, 3)),
        quats=jnp.asarray([[0.0, 3.0, -3.0, 0.0]]),
        logit_opacities=jnp.asarray([-20.0]),
        sh=jnp.asarray([[[0, 0.5 / DC, -0.25 / DC]]], jnp.float32),
    )
    save_dot_splat(tmp_path / "a.splat", splat)
    found = (tmp_path / "a.splat").read_bytes()
    assert found[:24] == struct.pack("<6f", 1, 2, -7.5, 1, 1, 1)
    assert list(found[24:]) == [128, 255, 64, 0, 128, 219, 37, 128]


def test_harmonics_are_dropped_with_a_warning(tmp_path, draw_splat, caplog):
    splat = draw_splat(degree=2)
    save_dot_splat(tmp_path / "a.splat", splat)
    assert "harmonics of degree 1 to 2 are dropped" in caplog.text
    assert load_dot_splat(tmp_path / "a.splat").sh.shape == (40, 1, 3)


def test_colors_beyond_0_and_1_are_clamped_and_counted(tmp_path, draw_splat, caplog):
    splat = draw_splat(degree=0)
    splat = replace(splat, sh=splat.sh.at[2:4, 0, 1].set(3.0))
    save_dot_splat(tmp_path / "a.splat", splat)
    assert "the colors of 2 Gaussians exceed" in caplog.text
    np.testing.assert_allclose(
        load_dot_splat(tmp_path / "a.splat").sh[2:4, 0, 1], 0.5 / DC, 1e-6
    )


@pytest.mark.parametrize("cut", [0, 1, 31, 33, -1])
def test_part_of_a_row_is_a_user_error(saved, cut):
    saved.write_bytes(saved.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"a\.splat: expected 32 bytes a Gaussian"):
        load_dot_splat(saved)


@pytest.mark.parametrize(
    ("at", "value"), [(0, np.nan), (8, np.inf), (12, -1), (20, np.nan)]
)
def test_wrong_value_is_named_with_its_first_row(saved, at, value):
    data = bytearray(saved.read_bytes())
    for row in (4, 6):
        struct.pack_into("<f", data, row * 32 + at, value)
    saved.write_bytes(data)
    with pytest.raises(UserError, match="in row 4"):
        load_dot_splat(saved)


def test_flat_and_unturned_gaussians_are_read_finite(saved):
    data = bytearray(saved.read_bytes())
    data[12:16], data[28:32] = bytes(4), b"\x80" * 4
    saved.write_bytes(data)
    splat = load_dot_splat(saved)
    assert -90 < splat.log_scales[0, 0] < -80
    np.testing.assert_array_equal(splat.quats[0], [1, 0, 0, 0])


@pytest.mark.parametrize(
    ("value", "message"), [(np.inf, "finite"), (89.0, "below 88.7")]
)
def test_what_it_cannot_hold_is_not_written(tmp_path, draw_splat, value, message):
    splat = draw_splat(degree=0)
    splat = replace(splat, log_scales=splat.log_scales.at[3, 1].set(value))
    with pytest.raises(UserError, match=f"{message}.* in row 3"):
        save_dot_splat(tmp_path / "a.splat", splat)
    assert not list(tmp_path.iterdir())


def test_no_gaussians_make_no_bytes(tmp_path):
    save_dot_splat(tmp_path / "a.splat", empty(degree=0))
    assert (tmp_path / "a.splat").read_bytes() == b""
