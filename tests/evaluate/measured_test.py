import json

import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.evaluate import figures
from aw_jax.evaluate.figures import EvaluateConfig, evaluate
from aw_jax.evaluate.measured import ITEMS, Measured
from aw_jax.media import images
from aw_jax.metrics.frames import FrameMetricsConfig
from aw_jax.runs.folder import RunFolder

CONFIG = EvaluateConfig(metrics=FrameMetricsConfig(lpips_net="none"))


@pytest.fixture
def views(tmp_path):
    rng = np.random.default_rng(0)
    for side in ("pred", "gt"):
        for name in range(4):
            image = rng.integers(0, 256, (16, 20, 3), np.uint8)
            images.write(tmp_path / f"{side}/{name}.png", image)
    return tmp_path / "pred", tmp_path / "gt"


@pytest.fixture
def count(monkeypatch):
    """Items measured; the one whose turn is `count.stop` raises Ctrl-C."""
    real = figures.frame_figures

    def measuring(*args, **kwargs):
        measuring.items += 1
        if measuring.items == measuring.stop:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    measuring.items, measuring.stop = 0, 0
    monkeypatch.setattr(figures, "frame_figures", measuring)
    return measuring


def run(views, out):
    measured = Measured(RunFolder(out, {}))
    return evaluate("reconstruction", *views, config=CONFIG, measured=measured)


@pytest.mark.parametrize("cut", [0, 7])
def test_an_interrupted_evaluation_goes_on(views, tmp_path, count, cut):
    whole, count.items, count.stop = run(views, tmp_path / "whole"), 0, 3
    with pytest.raises(KeyboardInterrupt):
        run(views, tmp_path / "out")
    kept = tmp_path / "out" / ITEMS
    text = kept.read_text()
    assert [json.loads(line)["name"] for line in text.splitlines()] == ["0", "1"]
    kept.write_text(text[: len(text) - cut])
    count.items, count.stop = 0, 0
    assert run(views, tmp_path / "out") == whole
    assert count.items == (3 if cut else 2)
    assert kept.read_text() == (tmp_path / "whole" / ITEMS).read_text()


def test_an_item_that_has_changed_is_measured_again(views, tmp_path, count):
    before = run(views, tmp_path / "out")
    images.write(views[0] / "2.png", images.read(views[1] / "1.png"))
    count.items = 0
    after = run(views, tmp_path / "out")
    assert count.items == 1
    changed = [n for n in before["items"] if before["items"][n] != after["items"][n]]
    assert changed == ["2"]


def test_the_folder_begins_after_the_input_is_checked(views, tmp_path):
    with pytest.raises(UserError):
        evaluate(
            "reconstruction",
            views[0] / "nowhere",
            views[1],
            config=CONFIG,
            measured=Measured(RunFolder(tmp_path / "out", {})),
        )
    assert not (tmp_path / "out").exists()
    run(views, tmp_path / "out")
    assert (tmp_path / "out" / "config.json").exists()
