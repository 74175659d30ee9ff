"""report.html: one run of `reconstruct` on a single page that needs no other file.

What a reader asks comes first: what was gained, whether the guard kept it, and on which
views; then pictures of the test views and of the repaired trajectory frames.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aw_jax.core import atomic
from aw_jax.evaluate import page
from aw_jax.evaluate.charts import line_chart
from aw_jax.evaluate.gallery import gallery, picture_files, spread, strips
from aw_jax.evaluate.tables import number, variant_names

TEST_COLUMNS = ("truth", "baseline", "heatmap", "restored", "final")
TRAJECTORY_COLUMNS = ("render", "heatmap", "restored")
BRANCHES = ("baseline", "repaired", "final")
FIGURES = ("psnr", "ssim", "lpips")
TITLES = {"psnr": "PSNR, dB", "ssim": "SSIM", "lpips": "LPIPS"}
BUDGET = 18_000_000
"""Bytes of all pictures as text; the page stays below 20 MB."""
MOST_STRIPS = 24


def write_report(run: Path, metrics: Mapping[str, Any]) -> Path:
    """Writes `run`/report.html from `metrics` and the pictures in `run`/frames."""
    path = run / "report.html"
    atomic.write_text(path, report(run.resolve().name, metrics, run / "frames"))
    return path


def report(name: str, metrics: Mapping[str, Any], frames: Path) -> str:
    """The page of a run.

    Args:
        name: the title.
        metrics: the content of metrics.json.
        frames: the folder that holds truth, baseline, final (test views) and heatmap,
            restored and, where kept, render (trajectory frames), one picture a name.
    """
    test = sorted(picture_files(frames / "truth"))
    trajectory = sorted(_trajectory_names(frames) - set(test))
    sections = [
        strips(frames, TEST_COLUMNS, names=spread(test, MOST_STRIPS)),
        strips(frames, TRAJECTORY_COLUMNS, names=spread(trajectory, MOST_STRIPS)),
    ]
    test_html, trajectory_html = gallery(sections, budget=BUDGET)
    return page.page(
        f"{name}: reconstruction",
        [
            page.text(f"Reconstruction of {name}", tag="h1"),
            page.text(verdict(metrics)),
            *_figures(metrics),
            *_curves(metrics.get("rounds", [])),
            page.text("The run", tag="h2"),
            page.facts(_facts(metrics)),
            *_section("Test views", test_html, _shown(test)),
            *_section(
                "Trajectory frames",
                trajectory_html,
                f"{_shown(trajectory)} Heatmaps: black is clean, yellow is broken.",
            ),
        ],
    )


def verdict(metrics: Mapping[str, Any]) -> str:
    """What the run brought, in a sentence or two."""
    before, after = (_psnr(metrics.get(branch)) for branch in ("baseline", "final"))
    gain = metrics.get("gain_db")
    told = f"PSNR on test views: baseline {before}, final {after}"
    told += f" ({gain:+.2f} dB)." if gain is not None else "."
    guard = metrics.get("guard")
    if guard is None:
        return told
    kept = "repaired" if guard["kept"] in (True, "repaired") else "baseline"
    weak = " on weak evidence" if guard.get("kind") == "weak" else ""
    return f"{told} The guard kept the {kept} splat{weak}: {guard.get('reason')}."


def _figures(metrics: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            branch,
            *(number(found.get(f), f) for f in FIGURES),
            _count(found.get("steps")),
        ]
        for branch in BRANCHES
        if (found := metrics.get(branch)) is not None
    ]
    names = ["PSNR (dB)", "SSIM", "LPIPS", "steps"]
    if not rows:
        return []
    return [
        page.text("Figures", tag="h2"),
        page.table(["", *names], rows, mark=len(rows) - 1),
        page.text(_variants(metrics), kind="soft"),
    ]


def _variants(metrics: Mapping[str, Any]) -> str:
    found = metrics.get("metric_variants")
    if not found:
        return "The variants of the metrics were not recorded."
    named = variant_names(found)
    told = "; ".join(f"{metric}: {name}" for metric, name in named.items())
    return f"Frames in eight bits, means over test views. {told}."


def _curves(rounds: list[Mapping[str, Any]]) -> list[str]:
    charts = []
    for figure in FIGURES:
        lines = {
            branch: [
                (float(entry.get("steps", i)), float(entry[branch][figure]))
                for i, entry in enumerate(rounds)
                if entry.get(branch, {}).get(figure) is not None
            ]
            for branch in ("baseline", "repaired")
        }
        if all(lines.values()):
            charts.append(line_chart(TITLES[figure], lines, across="steps"))
    if not charts:
        return []
    return [
        page.text("Over rounds", tag="h2"),
        f'<div class="charts">{"".join(charts)}</div>',
    ]


def _facts(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    plain = ("protocol", "init", "resolution", "seed")
    found = [(key, _plain(metrics[key])) for key in plain if key in metrics]
    for kind, names in metrics.get("views", {}).items():
        found.append((f"{kind} views", page.folded(str(len(names)), list(names))))
    for key in ("guard", "seconds"):
        if metrics.get(key):
            found.append((key, _plain(metrics[key])))
    if metrics.get("peak_memory_gb") is not None:
        found.append(("peak memory", f"{metrics['peak_memory_gb']:.2f} GB"))
    refused = sum(len(entry.get("refused", [])) for entry in metrics.get("rounds", []))
    if metrics.get("rounds"):
        made = sum(entry.get("clips", 0) for entry in metrics["rounds"])
        found.append(("clips", f"{made} made, {refused} refused"))
    return found


def _section(title: str, html: str, note: str) -> list[str]:
    if not html:
        return []
    return [page.text(title, tag="h2"), page.text(note, kind="soft"), html]


def _trajectory_names(frames: Path) -> set[str]:
    return {n for c in TRAJECTORY_COLUMNS for n in picture_files(frames / c)}


def _shown(names: list[str]) -> str:
    if len(names) <= MOST_STRIPS:
        return f"All {len(names)}."
    return f"{MOST_STRIPS} of {len(names)}, at equal distances."


def _psnr(found: Mapping[str, Any] | None) -> str:
    value = (found or {}).get("psnr")
    return "not measured" if value is None else f"{value:.2f} dB"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
