"""Our rasterizer against gsplat 1.5.3's torch functions: time, memory, wasted lanes.

  python scripts/bench/rasterize.py [--cases 512,garden] [--rounds 5] [--small]

Forward and backward of the full render (harmonics of degree 3, gradients of all splat
parameters and the pose). `512`: 100,000 random Gaussians at 512 x 512. `garden`: the
points of ../shared/scenes/garden_points in front of its first camera. Runs of the three
sides are interleaved and their images and gradients compared. The last line is JSON; a
ratio is ours / peer. Memory is the peak of an own process over its imports and inputs:
`first_memory` with XLA's compiler, `memory` with programs from jax's cache on disk
(filling such a cache takes up to 70 MB more than having none). glibc hands freed memory
back at its documented threshold, on all sides, or what a loader has freed would count.

gsplat's torch functions spend about half their time on pages that the C library has
handed back and asks for again. `--keep-freed-pages` lets all sides keep them, as our
launchers do (aw_jax/runs/memory.py); our own times hardly change.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting torch threads steal time

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gsplat_peer
import jax
import numpy as np
import torch
from cases import (
    Case,
    cotangents,
    figure,
    garden_case,
    machine,
    our_run,
    random_case,
    ratio,
    splat_and_camera,
)

from aw_jax.runs.memory import keep_freed_pages
from aw_jax.runs.versions import versions
from aw_jax.splat import projection
from aw_jax.splat.kernels import native
from aw_jax.splat.settings import RenderSettings

KINDS = {"memory": "later", "first_memory": "first"}
STARTS = range(5)


def make_case(name: str, small: bool) -> Case:
    if name == "garden":
        return garden_case()
    return random_case(2000, 64) if small else random_case(100_000, 512)


def peer_run(case: Case) -> Callable[[], tuple[Any, list[Any]]]:
    peer = gsplat_peer.Peer(*case)
    outer = [torch.from_numpy(x) for x in cotangents(case[2])]
    return lambda: peer.run(*outer)


def compare(ours: tuple, peer: tuple) -> dict[str, float]:
    """Mean error of the image, and relative L2 of the worst gradient."""
    image = np.mean(np.abs(np.asarray(ours[0]) - peer[0].numpy()))
    grads = [
        np.linalg.norm(np.asarray(a) - b.numpy()) / np.linalg.norm(b.numpy())
        for a, b in zip(ours[1], peer[1], strict=True)
    ]
    if image > 1e-5 or max(grads) > 5e-3:
        sys.exit(f"error: outputs differ: image {image:.1e}, gradients {grads}")
    return {"image_mean": float(image), "gradient_rel_l2": float(max(grads))}


def time_case(name: str, rounds: int, small: bool) -> dict[str, dict[str, Any]]:
    """Time ratios of interleaved runs."""
    case = make_case(name, small)
    runs = {b: our_run(case, b) for b in ("native", "xla")} | {"gsplat": peer_run(case)}
    first = {side: run() for side, run in runs.items()}
    for side in ("native", "xla"):
        print(name, side, "agrees with gsplat:", compare(first[side], first["gsplat"]))
    del first
    seconds: dict[str, list[float]] = {side: [] for side in runs}
    for _ in range(rounds):
        for side, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[side].append(time.perf_counter() - start)
    for side, times in seconds.items():
        print(name, side, "milliseconds:", [round(1e3 * t, 1) for t in times])
    return {
        f"{side}_vs_gsplat_{name}": ratio(seconds[side], seconds["gsplat"])
        for side in ("native", "xla")
    }


def lanes_case(name: str, small: bool) -> dict[str, dict[str, Any]]:
    """Pairs computed by the native kernel over pairs that are blended."""
    case = make_case(name, small)
    splat, camera = splat_and_camera(case)
    cameras = jax.tree.map(lambda x: x[None], camera)
    settings = RenderSettings(max_alpha=0.999)
    p = projection.project(splat, cameras, settings)
    colors = projection.shade(splat, cameras, settings)
    inputs = (p.means2d, p.conics, p.opacities, colors, p.depths, p.radii)
    sizes = {"width": camera.width, "height": camera.height}
    lanes = int(native.lanes_evaluated(*inputs, **sizes, max_alpha=0.999)[0])
    value = lanes / len(gsplat_peer.Peer(*case).pairs[0])
    return {f"lanes_over_blended_{name}": figure(value, [value, value])}


def peak_memory(name: str, side: str, small: bool) -> float:
    """Megabytes that one run of `side` adds to imports and inputs."""
    case = make_case(name, small)
    run = peer_run(case) if side == "gsplat" else our_run(case, side)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _kilobytes("VmRSS")
    run()
    return (_kilobytes("VmHWM") - before) / 1024


def _kilobytes(field: str) -> int:
    """Of /proc/self/status; getrusage would count the parent's memory as well."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith(field))


def child_peak(name: str, side: str, small: bool, cache: str) -> float:
    """`peak_memory` in a process of its own, which keeps its programs in `cache`."""
    words = [sys.executable, __file__, "--peak", side, "--cases", name]
    kept = {
        "MALLOC_TRIM_THRESHOLD_": "131072",
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    done = subprocess.run(
        [*words, *(["--small"] if small else [])],
        env=os.environ | kept,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def memory_case(name: str, small: bool) -> dict[str, dict[str, Any]]:
    """Memory ratios at a first and at a later start: medians of a process each."""
    peer, figures = child_peak(name, "gsplat", small, ""), {}
    for side in ("native", "xla"):
        with tempfile.TemporaryDirectory() as cache:
            child_peak(name, side, small, cache)
            peaks = {"later": [child_peak(name, side, small, cache) for _ in STARTS]}
        peaks["first"] = [child_peak(name, side, small, "") for _ in STARTS]
        print(name, side, "megabytes:", peaks | {"gsplat": peer})
        for kind, start in KINDS.items():
            each = sorted(peak / peer for peak in peaks[start])
            told = figure(each[len(each) // 2], [each[0], each[-1]])
            figures[f"{side}_{kind}_vs_gsplat_{name}"] = told
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default="512,garden")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="a 64 x 64 scene for 512")
    parser.add_argument("--keep-freed-pages", action="store_true")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    args = parser.parse_args()
    cases = args.cases.split(",")
    if not native.available():
        sys.exit("error: the native backend is not available; install g++.")
    if args.peak:
        print(peak_memory(cases[0], args.peak, args.small))
        return
    if args.keep_freed_pages and not keep_freed_pages():
        sys.exit("error: --keep-freed-pages needs glibc.")
    at_start = machine()
    figures: dict[str, dict[str, Any]] = {}
    for name in cases:
        figures |= time_case(name, args.rounds, args.small)
        figures |= lanes_case(name, args.small)
        figures |= memory_case(name, args.small)
    peers = {"gsplat": "1.5.3", "torch": torch.__version__}
    found = {"figures": figures, "machine": at_start, "versions": versions() | peers}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
