"""The piecewise heatmap schedule (Eq. 2): how much of the heatmap a step may see.

    t in [tau2, 1]     first phase    opens with z_full (all may be rebuilt)
    t in [tau1, tau2)  middle phase   z_heatmap
    t in [0, tau1)     last phase     closes with z_null (nothing more may be rebuilt)

A phase has an end (`full`, `heatmap` or `null`) and a form: `hold` shows the end
throughout, `linear` runs from the end at the border of [0, 1] to z_heatmap at the
middle phase. All seven rows of Table 5 are values of `HeatmapSchedule`.
"""

import dataclasses
from typing import Literal

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float
from aw_jax.restoration.anchoring import anchored_frames

End = Literal["full", "heatmap", "null"]
Form = Literal["hold", "linear"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """What one stretch of the schedule shows."""

    end: End
    form: Form = "hold"


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeatmapSchedule:
    """Three phases over t; the default is Exp 7 of Table 5."""

    first: Phase = Phase(end="full")
    middle: Phase = Phase(end="heatmap")
    last: Phase = Phase(end="null", form="linear")
    tau1: float = 5 / 8
    tau2: float = 15 / 16

    def __post_init__(self) -> None:
        if not 0 < self.tau1 < self.tau2 < 1:
            raise ValueError(
                "HeatmapSchedule needs 0 < tau1 < tau2 < 1, "
                f"got tau1={self.tau1} and tau2={self.tau2}."
            )
        if self.middle.form == "linear":
            raise ValueError("HeatmapSchedule.middle can only hold, got form=linear.")


CONSTANT = HeatmapSchedule(first=Phase(end="heatmap"), last=Phase(end="heatmap"))
"""Exp 1 of Table 5: z_heatmap at every t, so that one step at t = 1 sees it too."""


def schedule_weights(
    t: Float[Array, " b"], schedule: HeatmapSchedule
) -> dict[End, Float[Array, " b"]]:
    """The share of z_full, z_heatmap and z_null at each t; they sum to 1 (Eq. 2)."""
    opening = (t - schedule.tau2) / (1 - schedule.tau2)
    closing = 1 - t / schedule.tau1
    stretches = (
        (t >= schedule.tau2, schedule.first, opening),
        ((t >= schedule.tau1) & (t < schedule.tau2), schedule.middle, jnp.ones_like(t)),
        (t < schedule.tau1, schedule.last, closing),
    )
    weights: dict[End, Float[Array, " b"]] = {
        "full": jnp.zeros_like(t),
        "heatmap": jnp.zeros_like(t),
        "null": jnp.zeros_like(t),
    }
    for inside, phase, ramp in stretches:
        share = jnp.where(phase.form == "hold", 1.0, ramp) * inside
        weights[phase.end] = weights[phase.end] + share
        weights["heatmap"] = weights["heatmap"] + inside - share
    return weights


def scheduled_heatmap(
    heatmap: Float[Array, "b n c"],
    t: Float[Array, " b"],
    *,
    full: Float[Array, "n c"],
    null: Float[Array, "n c"],
    schedule: HeatmapSchedule,
) -> Float[Array, "b n c"]:
    """The heatmap tokens that a model at noise level t is shown (Eq. 2)."""
    shares = schedule_weights(t, schedule)
    return (
        shares["full"][:, None, None] * full
        + shares["heatmap"][:, None, None] * heatmap
        + shares["null"][:, None, None] * null
    )


def full_video(
    frames: int, height: int, width: int, *, trailing: int
) -> Float[Array, "f h w 3"]:
    """White video whose anchored frames are black: its encoding is z_full."""
    open_frames = ~anchored_frames(frames, trailing)
    shape = (frames, height, width, 3)
    return jnp.broadcast_to(open_frames[:, None, None, None].astype(float), shape)


def null_video(frames: int, height: int, width: int) -> Float[Array, "f h w 3"]:
    """Black video: its encoding is z_null."""
    return jnp.zeros((frames, height, width, 3))
