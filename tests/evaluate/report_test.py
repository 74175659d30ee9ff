import re
from html.parser import HTMLParser

import numpy as np
import pytest

from aw_jax.evaluate import gallery, report
from aw_jax.evaluate.charts import line_chart, ticks
from aw_jax.media import images
from aw_jax.metrics.frames import FrameMetricsConfig, variants

VOID = {"meta", "img", "line", "circle", "polyline", "br"}
TEST_VIEWS, TRAJECTORY = ("0001", "0009"), ("clip0_00004", "clip0_00012")


class Checker(HTMLParser):
    """Follows the open elements and gathers everything a page could fetch."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.tags, self.words = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def checked(html):
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    return checker


def metrics():
    figures = lambda psnr: {"psnr": psnr, "ssim": 0.8125, "lpips": None, "steps": 2400}
    return {
        "protocol": "ratio",
        "init": "triangulate",
        "resolution": [48, 32],
        "seed": 0,
        "views": {"train": ["0002.png", "0005.png"], "test": ["0001.png", "0009.png"]},
        "baseline": figures(20.25),
        "repaired": figures(20.875),
        "final": figures(20.875),
        "gain_db": 0.625,
        "guard": {
            "kind": "weak",
            "kept": "repaired",
            "reason": "nothing <lost> & found",
            "values": {"baseline_psnr": 30.0},
        },
        "metric_variants": variants(FrameMetricsConfig(lpips_net="none")),
        "rounds": [
            {
                "round": i,
                "steps": 800 * (i + 1),
                "clips": 4,
                "refused": [{"clip": 1, "stray": 3.0}] * i,
                "baseline": {"psnr": 19.0 + i, "ssim": 0.7},
                "repaired": {"psnr": 19.5 + i, "ssim": 0.7},
            }
            for i in range(2)
        ],
        "seconds": {"fit": 61.25, "restore": 12.0},
        "peak_memory_gb": 3.1416,
    }


@pytest.fixture
def run(tmp_path):
    rng = np.random.default_rng(0)
    picture = lambda: rng.integers(0, 256, (32, 48, 3), np.uint8)
    frames = tmp_path / "fox/frames"
    for name in TEST_VIEWS:
        for column in ("truth", "baseline", "final"):
            images.write(frames / column / f"{name}.png", picture())
    for name in TRAJECTORY:
        heat = np.repeat(picture()[..., :1], 3, axis=-1)
        images.write(frames / "heatmap" / f"{name}.png", heat)
        images.write(frames / "restored" / f"{name}.png", picture())
    return tmp_path / "fox"


def test_report_is_one_sound_page_that_fetches_nothing(run):
    path = report.write_report(run, metrics())
    page = checked(path.read_text())
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert len(page.links) == 10
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert "url(" not in path.read_text()
    assert path.stat().st_size < 20_000_000


def test_report_tells_gain_guard_variants_protocol_and_views(run):
    words = " ".join(checked(report.report("fox", metrics(), run / "frames")).words)
    for told in (
        "baseline 20.25 dB, final 20.88 dB (+0.62 dB)",
        "The guard kept the repaired splat on weak evidence: nothing <lost> & found.",
        "LPIPS: none (not asked for)",
        "11x11 Gaussian, sigma 1.5, zero padding",
        "ratio",
        "0001.png, 0009.png",
        "8 made, 1 refused",
        "3.14 GB",
    ):
        assert told in words


def test_test_views_and_trajectory_frames_stand_in_their_own_strips(run):
    html = report.report("fox", metrics(), run / "frames")
    views, trajectory = html.split("Trajectory frames")
    named = lambda part: re.findall(r'class="name">([^<]*)<', part)
    shown = lambda part: re.findall(r'alt="([^"]*)"', part)
    assert named(views) == list(TEST_VIEWS)
    assert shown(views) == ["truth", "baseline", "final"] * 2
    assert named(trajectory) == list(TRAJECTORY)
    assert shown(trajectory) == ["heatmap", "restored"] * 2


def test_a_run_without_pictures_or_rounds_still_has_a_report(tmp_path):
    short = {"baseline": {"psnr": None}, "final": {"psnr": 20.0}, "gain_db": None}
    page = checked(report.report("fox", short, tmp_path))
    assert "img" not in page.tags
    assert "svg" not in page.tags
    assert "baseline not measured, final 20.00 dB." in " ".join(page.words)


def test_pictures_shrink_until_they_fit_the_budget(run):
    frames = run / "frames"
    part = gallery.strips(frames, ("truth", "final"), names=TEST_VIEWS)
    (large,) = gallery.gallery([part], budget=10**9)
    (small,) = gallery.gallery([part], budget=len(large) - 1)
    assert len(small) < len(large)
    (none,) = gallery.gallery([part], budget=10)
    assert "too many" in none


def test_a_strip_without_one_of_its_pictures_says_so(run):
    (run / "frames/final/0009.png").unlink()
    html = report.report("fox", metrics(), run / "frames")
    assert "no final" in html


def test_captions_give_the_decibels_of_the_picture(run):
    truth = images.read(run / "frames/truth/0001.png")
    other = np.where(truth < 128, truth + 25, truth - 25).astype(np.uint8)
    images.write(run / "frames/final/0001.png", other)
    want = 20 * np.log10(255 / 25)
    assert f"{want:.2f} dB</span>" in report.report("fox", metrics(), run / "frames")


def test_spread_keeps_both_ends():
    assert gallery.spread("abcdefg", 3) == ["a", "d", "g"]
    assert gallery.spread("ab", 3) == ["a", "b"]
    assert gallery.spread("", 3) == []


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (19.37, 19.41), (-3.0, 250.0), (5.0, 5.0), (0.0, 0.0)]
)
def test_ticks_are_round_and_enclose_the_values(low, high):
    marks = ticks(low, high)
    assert 2 <= len(marks) <= 8
    assert marks[0] <= low
    assert marks[-1] >= high
    np.testing.assert_allclose(np.diff(marks), marks[1] - marks[0], rtol=1e-6)


def test_higher_values_stand_higher_in_a_chart():
    svg = line_chart("PSNR", {"a": [(0.0, 1.0), (1.0, 3.0)]}, across="steps")
    (points,) = re.findall(r'points="([^"]*)"', svg)
    (x0, y0), (x1, y1) = (map(float, p.split(",")) for p in points.split())
    assert x0 < x1
    assert y0 > y1
