import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.restoration.heatmap import (
    CONSTANT,
    HeatmapSchedule,
    Phase,
    full_video,
    null_video,
    schedule_weights,
    scheduled_heatmap,
)

STEPS = jnp.arange(8, 0, -1) / 8  # the restorer's default sampler
FULL, HEAT, NULL = Phase(end="full"), Phase(end="heatmap"), Phase(end="null")
LATE = {"tau1": 3 / 16, "tau2": 15 / 16}  # one step, six steps, one step

TABLE_5 = {
    1: (CONSTANT, "hhhhhhhh"),
    2: (HeatmapSchedule(first=FULL, last=HEAT, **LATE), "fhhhhhhh"),
    3: (HeatmapSchedule(first=HEAT, last=NULL, **LATE), "hhhhhhhn"),
    4: (HeatmapSchedule(first=FULL, last=NULL, **LATE), "fhhhhhhn"),
    5: (HeatmapSchedule(first=NULL, last=FULL, **LATE), "nhhhhhhf"),
}


def test_default_weights_are_those_the_method_states():
    weights = schedule_weights(STEPS, HeatmapSchedule())
    np.testing.assert_allclose(
        weights["heatmap"], [0, 1, 1, 1, 0.8, 0.6, 0.4, 0.2], atol=1e-6
    )
    np.testing.assert_allclose(weights["full"], [1, 0, 0, 0, 0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(
        weights["null"], [0, 0, 0, 0, 0.2, 0.4, 0.6, 0.8], atol=1e-6
    )


@pytest.mark.parametrize("row", TABLE_5)
def test_rows_of_table_5_that_hold(row):
    schedule, word = TABLE_5[row]
    weights = schedule_weights(STEPS, schedule)
    for name, letter in (("full", "f"), ("heatmap", "h"), ("null", "n")):
        expected = [1.0 if c == letter else 0.0 for c in word]
        np.testing.assert_allclose(weights[name], expected)


def test_row_6_of_table_5_opens_linearly():
    opening = Phase(end="full", form="linear")
    schedule = HeatmapSchedule(first=opening, last=NULL, tau1=3 / 16, tau2=1 / 2)
    weights = schedule_weights(STEPS, schedule)
    np.testing.assert_allclose(weights["full"][:5], [1, 0.75, 0.5, 0.25, 0], atol=1e-6)
    np.testing.assert_allclose(weights["null"], [0, 0, 0, 0, 0, 0, 0, 1])


@pytest.mark.parametrize("schedule", [HeatmapSchedule(), CONSTANT, TABLE_5[5][0]])
def test_weights_sum_to_one_everywhere(schedule):
    weights = schedule_weights(jnp.linspace(0, 1, 101), schedule)
    np.testing.assert_allclose(sum(weights.values()), 1, atol=1e-6)


def test_tokens_are_mixed_per_sample():
    heatmap = jax.random.normal(jax.random.key(0), (3, 5, 4))
    full, null = jnp.ones((5, 4)), -jnp.ones((5, 4))
    t = jnp.asarray([1.0, 0.75, 0.3125])
    mixed = scheduled_heatmap(
        heatmap, t, full=full, null=null, schedule=HeatmapSchedule()
    )
    np.testing.assert_allclose(mixed[0], full)
    np.testing.assert_allclose(mixed[1], heatmap[1])
    np.testing.assert_allclose(mixed[2], (heatmap[2] + null) / 2, rtol=1e-5)


def test_full_video_is_white_where_nothing_is_anchored():
    video = full_video(25, 2, 3, trailing=8)
    np.testing.assert_array_equal(video[1:17], 1)
    np.testing.assert_array_equal(video[0], 0)
    np.testing.assert_array_equal(video[17:], 0)
    np.testing.assert_array_equal(null_video(25, 2, 3), 0)


@pytest.mark.parametrize("taus", [(0.5, 0.5), (0.0, 0.5), (0.5, 1.0), (0.9, 0.2)])
def test_thresholds_out_of_order_are_refused(taus):
    with pytest.raises(ValueError, match="tau1"):
        HeatmapSchedule(tau1=taus[0], tau2=taus[1])
