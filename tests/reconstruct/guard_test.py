import math

import pytest

from aw_jax.reconstruct.guard import (
    GuardConfig,
    judge_weakly,
    judge_withheld,
    withheld_views,
)


@pytest.mark.parametrize(
    ("count", "expected"), [(2, 0), (3, 0), (4, 1), (5, 1), (8, 1), (15, 2), (25, 3)]
)
def test_a_tenth_of_four_or_more_views_is_withheld(count, expected):
    found = withheld_views(count, GuardConfig())
    assert len(set(found)) == expected
    assert all(0 < index < count - 1 for index in found)


@pytest.mark.parametrize(
    ("baseline", "repaired", "kept"),
    [
        (20.0, 20.1, "repaired"),
        (20.0, 20.0, "baseline"),
        (20.0, 19.9, "baseline"),
        (20.0, math.nan, "baseline"),
        (math.nan, 20.0, "baseline"),
    ],
)
def test_only_a_better_repair_is_kept(baseline, repaired, kept):
    verdict = judge_withheld(baseline_psnr=baseline, repaired_psnr=repaired)
    assert (verdict.kind, verdict.kept) == ("withheld", kept)


@pytest.mark.parametrize(
    ("repaired", "coverage", "kept"),
    [
        (19.6, 0.9, "repaired"),
        (19.4, 0.9, "baseline"),
        (20.0, 0.1, "baseline"),
        (math.nan, 0.9, "baseline"),
        (20.0, math.nan, "baseline"),
    ],
)
def test_with_few_views_a_visible_fault_keeps_the_baseline(repaired, coverage, kept):
    verdict = judge_weakly(
        baseline_psnr=20.0,
        repaired_psnr=repaired,
        coverage=coverage,
        config=GuardConfig(),
    )
    assert (verdict.kind, verdict.kept) == ("weak", kept)
