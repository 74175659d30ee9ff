"""Guidance against its equations, in numpy and in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.flow import guidance, schedules
from aw_jax.flow.guidance import GuidanceConfig, Scales


@pytest.fixture
def predictions():
    """c, u and p of two samples."""
    return jax.random.normal(jax.random.key(0), (3, 2, 5, 4)) + 0.5


def scales_of(g, s, r):
    g, s, r = jnp.array([g, s, r], jnp.float32)
    return Scales(guidance=g, stg=s, rescale=r)


def per_sample(function, *arrays):
    """`function` of one sample at a time."""
    arrays = (np.asarray(x, np.float64) for x in arrays)
    return np.stack([function(*sample) for sample in zip(*arrays, strict=True)])


def slow(c, u, p, g, s, r):
    """All of it for one sample, word by word."""
    u = u * np.vdot(c, u) / np.vdot(u, u)
    out = u + g * (c - u) + s * (c - p)
    return out * (r * c.std() / out.std() + (1 - r))


def test_everything_together_equals_the_equations(predictions):
    c, u, p = predictions
    got = guidance.guided(*predictions, scales=scales_of(6, 4, 0.5), star=True)
    wanted = per_sample(lambda *x: slow(*x, 6, 4, 0.5), c, u, p)
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_unit_guidance_is_the_conditional_prediction(predictions):
    c, u, _ = predictions
    got = guidance.guided(c, u, None, scales=scales_of(1, 0, 0))
    np.testing.assert_allclose(got, c, rtol=1e-6)
    np.testing.assert_array_equal(
        guidance.guided(c, None, None, scales=scales_of(9, 9, 1)), c
    )


def test_what_is_left_after_projecting_is_orthogonal(predictions):
    c, u, _ = predictions
    along = guidance.project(c, u)
    rest = per_sample(lambda a, b, u: np.vdot(a - b, u), c, along, u)
    np.testing.assert_allclose(rest, 0, atol=1e-5)
    np.testing.assert_allclose(guidance.project(c, 3 * u), along, rtol=1e-5)


def test_full_rescaling_gives_the_deviation_of_the_conditional(predictions):
    c, u, _ = predictions
    full, none = (guidance.rescaled(5 * u, c, jnp.float32(r)) for r in (1, 0))
    np.testing.assert_allclose(np.std(full, (1, 2)), np.std(c, (1, 2)), rtol=1e-5)
    np.testing.assert_allclose(none, 5 * u, rtol=1e-6)


def test_the_13b_tables_step_by_step():
    """Entry by entry from the published lists and LinearQuadratic(30)."""
    config = guidance.LTX_13B_DEV
    times = schedules.linear_quadratic(30)[:27]
    got = guidance.scales(config, times)
    np.testing.assert_allclose(times[:5], 1 - np.arange(5) / 600)
    np.testing.assert_array_equal(got.guidance[:5], [1, 1, 1, 6, 6])
    by_hand = [
        next((i for i, level in enumerate(config.levels) if level <= t), 6)
        for t in times
    ]
    np.testing.assert_array_equal(got.guidance, np.array(config.guidance)[by_hand])
    np.testing.assert_array_equal(got.stg, np.array(config.stg)[by_hand])
    half = np.isin(by_hand, (2, 3))
    np.testing.assert_array_equal(got.rescale, np.where(half, 0.5, 0))
    blocks = guidance.skipped(config, times, layers=48)
    assert blocks.shape == (27, 48)
    for row, entry in zip(blocks, by_hand, strict=True):
        assert tuple(np.flatnonzero(row)) == config.blocks[entry]


def test_below_all_levels_the_last_entry_holds():
    config = GuidanceConfig(
        levels=(0.9, 0.5),
        guidance=(2.0, 3.0),
        stg=(0.0, 0.0),
        rescale=(1.0, 1.0),
        blocks=((), ()),
    )
    got = guidance.scales(config, np.array([1.0, 0.9, 0.7, 0.5, 0.2]))
    np.testing.assert_array_equal(got.guidance, [2, 2, 3, 3, 3])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"guidance": (1.0, 2.0)}, "guidance must be 1 entries, one per level, got 2"),
        ({"guidance": (0.5,)}, "guidance must be at least 1, got 0.5"),
        ({"stg": (-1.0,)}, "stg must be at least 0"),
        ({"stg": (1.0,)}, "blocks must be some where stg > 0"),
    ],
)
def test_tables_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        GuidanceConfig(**changes)


def test_a_block_the_network_lacks_is_refused():
    with pytest.raises(UserError, match="below the 28 of the network, got 39"):
        guidance.skipped(guidance.LTX_13B_DEV, np.array([1.0]), layers=28)
