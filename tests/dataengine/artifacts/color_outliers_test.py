"""Color outliers: noise, rounding and gains of the harmonics."""

import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.dataengine.artifacts import color_outliers
from aw_jax.splat import harmonics

RNG = np.random.default_rng(0)


def test_scaled_harmonics_show_the_color_times_the_gains_from_any_side():
    sh = jnp.asarray(0.1 * RNG.normal(size=(5, 9, 3)), jnp.float32)
    gains = jnp.array([1.1, 1.0, 0.8])
    way = RNG.normal(size=(4, 3))
    weights = harmonics.basis(
        jnp.asarray(way / np.linalg.norm(way, axis=-1, keepdims=True), jnp.float32),
        degree=2,
    )
    color = lambda sh: 0.5 + np.einsum("vu,guc->vgc", weights, sh)
    np.testing.assert_allclose(
        color(color_outliers.scaled(sh, gains)), gains * color(sh), atol=1e-5
    )


@pytest.mark.parametrize("bits", [3, 6])
def test_rounded_harmonics_have_so_many_levels(bits):
    span = color_outliers.UNITS
    fine = jnp.linspace(-span / 2, span / 2, 4001)[:-1, None, None] * jnp.ones(
        (1, 1, 3)
    )
    rough = np.asarray(color_outliers.rounded(fine, jnp.float32(bits)))
    step = span / 2**bits
    assert len(np.unique(rough)) == 2**bits + 1  # both ends are half a step wide
    assert np.abs(rough - np.asarray(fine)).max() <= step / 2 + 1e-6


def test_frames_differ_by_their_gains_only(subject, broken):
    first, last = (broken(seed=3, frame=f, color_outliers=1.0) for f in (0, 8))
    hit = np.asarray(first.touched) == 1
    assert hit.any()
    ratio = np.asarray(last.splat.sh[hit, 1:] / first.splat.sh[hit, 1:])
    ratio = ratio[np.isfinite(ratio).all(axis=(1, 2))]
    assert np.ptp(ratio, axis=(0, 1)).max() < 1e-3
    bound = np.exp(2 * color_outliers.GAIN) * (1.08 / 0.92)
    assert np.all((ratio < bound) & (ratio > 1 / bound))
    assert not np.allclose(ratio, 1.0, atol=1e-3)


def test_only_colors_change(subject, broken):
    draft, count = broken(seed=3, color_outliers=1.0), len(subject.splat.means)
    for name in ("means", "log_scales", "quats", "logit_opacities"):
        now = getattr(draft.splat, name)[:count]
        np.testing.assert_array_equal(now, getattr(subject.splat, name))
