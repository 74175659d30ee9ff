"""Memory at full size, ahead of time: every device holds an eighth, and no more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARAMETERS = 13_042_569_344
WIDTH, LAYERS, RANK = 4096, 48, 128
ADAPTER = 26 * WIDTH * RANK * LAYERS
"""A block has eight projections of WIDTH, and two between it and 4 WIDTH."""


@pytest.mark.slow
@pytest.mark.parametrize(("step", "copies"), [("train", 4), ("sample", 1)])
def test_the_13b_lies_evenly_over_eight_devices(step, copies):
    """The base in bfloat16; the adapter in float32, in training with three more."""
    script = ROOT / "scripts/bench/memory.py"
    done = subprocess.run(
        [sys.executable, script, "--size=13b", f"--step={step}", "--tokens=256"],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])["per_device_mb"]
    share = (2 * PARAMETERS + 4 * copies * ADAPTER) / 8 / 1e6
    assert share < found["arguments"] < 1.01 * share
    assert found["temporary"] < 12_000  # 2,688 tokens took 11,560 and 8,894
