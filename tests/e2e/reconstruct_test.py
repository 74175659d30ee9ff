"""The main job as a user runs it: two random layers, a small procedural scene.

Killed in any phase and started again it ends in the same bytes; test photos never reach
the splat.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from aw_jax.data.procedural import captures, export, worlds
from aw_jax.data.procedural.seeds import TEST
from aw_jax.media import images

ROOT = Path(__file__).parents[2]
PHASES = (
    "load",
    "init",
    "base fit",
    "render",
    "heatmap",
    "restore",
    "distil",
    "final",
)
VOLATILE = ("seconds", "peak_memory_gb")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("capture") / "scene"
    config = captures.CaptureConfig(frames=12, width=64, height=48)
    world = worlds.scene(TEST[7])
    return export.write(world, folder, captures.capture(world, config)) and folder


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """One cache of compiled programs for all runs of this module."""
    return tmp_path_factory.mktemp("compiled")


def command(scene, out):
    return [
        sys.executable,
        "-m",
        "aw_jax.launch.reconstruct",
        f"--scene={scene}",
        f"--out={out}",
        "--config=configs/reconstruct_probe.py",
    ]


def environment(compiled):
    users = {name: text for name, text in os.environ.items() if name != "XLA_FLAGS"}
    return users | {
        "JAX_COMPILATION_CACHE_DIR": str(compiled),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def run(scene, out, compiled):
    done = subprocess.run(
        command(scene, out),
        cwd=ROOT,
        env=environment(compiled),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def figures(out):
    metrics = json.loads((out / "metrics.json").read_text())
    return {name: value for name, value in metrics.items() if name not in VOLATILE}


@pytest.fixture(scope="module")
def whole(scene, compiled, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    run(scene, out, compiled)
    return out


def test_every_file_is_there_and_nothing_else(whole):
    found = {path.name for path in whole.iterdir()}
    assert found == {
        "config.json",
        "versions.json",
        "metrics.json",
        "report.html",
        "splat.ply",
        "baseline.ply",
        "frames",
    }
    folders = {path.name for path in (whole / "frames").iterdir()}
    assert {"truth", "baseline", "heatmap", "restored", "final"} <= folders


def test_metrics_hold_what_the_surface_names(whole):
    metrics = json.loads((whole / "metrics.json").read_text())
    for name in ("baseline", "repaired", "final"):
        assert set(metrics[name]) == {"psnr", "ssim", "lpips", "steps"}
        assert 5 < metrics[name]["psnr"] < 60
    kept = metrics[metrics["guard"]["kept"]]
    assert metrics["final"] == kept
    gain = metrics["final"]["psnr"] - metrics["baseline"]["psnr"]
    assert metrics["gain_db"] == pytest.approx(gain)
    assert metrics["guard"]["kind"] == "withheld"
    assert len(metrics["views"]["train"]) == 4
    assert not set(metrics["views"]["train"]) & set(metrics["views"]["test"])
    assert len(metrics["rounds"]) == 1


def test_a_finished_run_says_so_and_changes_nothing(whole, scene, compiled):
    before = (whole / "metrics.json").stat().st_mtime_ns
    assert "is finished" in run(scene, whole, compiled).stderr
    assert (whole / "metrics.json").stat().st_mtime_ns == before


def test_test_photos_never_reach_the_splat(whole, scene, compiled, tmp_path):
    noisy = shutil.copytree(scene, tmp_path / "scene")
    rng = np.random.default_rng(0)
    metrics = json.loads((whole / "metrics.json").read_text())
    for name in metrics["views"]["test"]:
        shape = images.read(noisy / name).shape
        images.write(noisy / name, rng.integers(0, 256, shape, dtype=np.uint8))
    run(noisy, tmp_path / "run", compiled)
    ours, theirs = (folder / "splat.ply" for folder in (tmp_path / "run", whole))
    assert ours.read_bytes() == theirs.read_bytes()
    noise = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert noise["final"]["psnr"] < metrics["final"]["psnr"] - 3


def kill_within(phase, scene, out, compiled, seed):
    """Starts a run and kills it a random moment after `phase` began."""
    process = subprocess.Popen(
        command(scene, out),
        cwd=ROOT,
        env=environment(compiled),
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if line.strip() == f"[{phase}]":
            break
    time.sleep(random.Random(seed).uniform(0, 0.5))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()


SLOW = [pytest.param(phase, marks=pytest.mark.slow) for phase in PHASES[:-2]]


@pytest.mark.parametrize(
    "phase", [*SLOW, PHASES[-2], pytest.param(PHASES[-1], marks=pytest.mark.slow)]
)
def test_a_killed_run_ends_in_the_same_bytes(phase, whole, scene, compiled, tmp_path):
    out = tmp_path / "run"
    kill_within(phase, scene, out, compiled, seed=PHASES.index(phase))
    assert not (out / "metrics.json").exists(), "the run was over before the kill"
    run(scene, out, compiled)
    for name in ("splat.ply", "baseline.ply"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert figures(out) == figures(whole)
