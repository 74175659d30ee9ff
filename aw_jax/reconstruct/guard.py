"""Never worse: whether the repaired splat or the baseline is handed out.

Test views are never seen. With at least four training views some are withheld from both
branches of a short probe run, and what is better on them is kept for the full run. With
fewer, the repaired splat must not lose the training views, its coverage or its numbers.
"""

import dataclasses
import math
from typing import Literal

FEWEST = 4
"""Training views below which none can be withheld."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuardConfig:
    """How the decision is made."""

    withheld_share: float = 0.1
    """Share of the training views that the probe run withholds, at least one."""
    probe_share: float = 1 / 3
    """Steps of the probe run over steps of the full run."""
    tolerance_db: float = 0.5
    """With few views: PSNR on training views that the repair may cost."""
    least_coverage: float = 0.6
    """With few views: mean alpha that the trajectories must keep."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is kept, and why."""

    kind: Literal["withheld", "weak"]
    kept: Literal["repaired", "baseline"]
    reason: str
    values: dict[str, float]


def withheld_views(count: int, config: GuardConfig) -> tuple[int, ...]:
    """Positions of the training views to withhold: evenly spread, never the ends."""
    if count < FEWEST:
        return ()
    number = max(1, math.floor(config.withheld_share * count + 0.5))
    gap = (count - 1) / (number + 1)
    return tuple(math.floor(gap * (i + 1) + 0.5) for i in range(number))


def judge_withheld(*, baseline_psnr: float, repaired_psnr: float) -> Verdict:
    """Keeps the repair if it is better on the withheld views of the probe run."""
    better = repaired_psnr > baseline_psnr  # False where either is NaN
    gain = repaired_psnr - baseline_psnr
    return Verdict(
        kind="withheld",
        kept="repaired" if better else "baseline",
        reason=f"{gain:+.3f} dB on withheld training views",
        values={
            "baseline_psnr": baseline_psnr,
            "repaired_psnr": repaired_psnr,
        },
    )


def judge_weakly(
    *,
    baseline_psnr: float,
    repaired_psnr: float,
    coverage: float,
    config: GuardConfig,
) -> Verdict:
    """Keeps the repair unless it visibly failed: too few views to know more."""
    loss = baseline_psnr - repaired_psnr
    faults = []
    if not math.isfinite(repaired_psnr):
        faults.append("values that are not finite")
    elif loss > config.tolerance_db:
        faults.append(f"{loss:.3f} dB lost on training views")
    if not coverage >= config.least_coverage:
        faults.append(f"coverage {coverage:.3f} on the trajectories")
    return Verdict(
        kind="weak",
        kept="baseline" if faults else "repaired",
        reason=", ".join(faults) or "no fault on training views or trajectories",
        values={
            "baseline_psnr": baseline_psnr,
            "repaired_psnr": repaired_psnr,
            "coverage": coverage,
        },
    )
