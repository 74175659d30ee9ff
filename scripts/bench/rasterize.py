"""Our rasterizer against gsplat 1.5.3's torch functions: time, memory, wasted lanes.

  python scripts/bench/rasterize.py [--cases 512,garden] [--rounds 5] [--small]

Forward and backward of the full render (harmonics of degree 3, gradients of all splat
parameters and the pose). `512`: 100,000 random Gaussians at 512 x 512. `garden`: the
points of ../shared/scenes/garden_points in front of its first camera. Runs of the three
sides are interleaved and their images and gradients compared. The last line is JSON; a
ratio is ours / peer. Memory is the peak of an own process over its imports.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting torch threads steal time

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gsplat_peer
import jax
import jax.numpy as jnp
import numpy as np
import torch

from aw_jax.geometry.cameras import Cameras
from aw_jax.runs.versions import versions
from aw_jax.splat import projection
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.kernels import native
from aw_jax.splat.rasterize import render
from aw_jax.splat.settings import RenderSettings

SHARED = Path(os.environ.get("AW_SHARED", Path(__file__).parents[3] / "shared"))
GARDEN = SHARED / "scenes" / "garden_points" / "test_garden.npz"
Case = tuple[dict[str, np.ndarray], np.ndarray, tuple[int, int]]


def random_case(count: int, side: int) -> Case:
    """Gaussians scattered over a square view, a few pixels wide each."""
    draw = np.random.default_rng(0)
    depth = draw.uniform(2, 6, count)
    screen = draw.uniform(-0.52, 0.52, (count, 2))
    pixels = np.exp(draw.uniform(np.log(1), np.log(5), (count, 3)))
    arrays = {
        "means": np.concatenate([screen * depth[:, None], depth[:, None]], axis=1),
        "log_scales": np.log(pixels * depth[:, None] / side),
        "logit_opacities": draw.uniform(-3, 3, count),
        "sh": draw.normal(0, 0.2, (count, 16, 3)),
        "quats": draw.normal(size=(count, 4)),
        "pose": np.eye(4),
    }
    intrinsics = np.asarray([[side, 0, side / 2], [0, side, side / 2], [0, 0, 1]])
    return _float32(arrays), intrinsics.astype(np.float32), (side, side)


def garden_case() -> Case:
    """The garden's points as Gaussians of gsplat's own test: random shapes."""
    if not GARDEN.exists():
        sys.exit(f"error: {GARDEN} is missing; choose --cases 512 or set AW_SHARED.")
    data, draw = np.load(GARDEN), np.random.default_rng(0)
    pose, means = data["viewmats"][0], data["means3d"]
    ahead = means @ pose[2, :3] + pose[2, 3] > 0.2
    count = int(ahead.sum())
    sh = draw.normal(0, 0.1, (count, 16, 3))
    sh[:, 0] = (data["colors"][ahead] / 255 - 0.5) / 0.28209479177387814
    arrays = {
        "means": means[ahead],
        "log_scales": np.log(draw.uniform(1e-3, 0.02, (count, 3))),
        "logit_opacities": draw.uniform(-3, 3, count),
        "sh": sh,
        "quats": draw.normal(size=(count, 4)),
        "pose": pose,
    }
    size = (int(data["width"]), int(data["height"]))
    return _float32(arrays), data["Ks"][0].astype(np.float32), size


def _float32(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k: v.astype(np.float32) for k, v in arrays.items()}


def make_case(name: str, small: bool) -> Case:
    if name == "garden":
        return garden_case()
    return random_case(2000, 64) if small else random_case(100_000, 512)


def cotangents(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(1)
    shape = (size[1], size[0])
    return _pair(draw.normal(size=(*shape, 3)), draw.normal(size=shape))


def _pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return a.astype(np.float32), b.astype(np.float32)


def splat_and_camera(case: Case) -> tuple[Splat, Cameras]:
    arrays, intrinsics, size = case
    names = ("means", "log_scales", "quats", "logit_opacities", "sh")
    splat = Splat(**{name: jnp.asarray(arrays[name]) for name in names})
    pose = jnp.asarray(arrays["pose"])
    return splat, Cameras(
        camera_from_world=pose,
        intrinsics=jnp.asarray(intrinsics),
        width=size[0],
        height=size[1],
    )


def our_run(case: Case, backend: Any) -> Callable[[], tuple[Any, list[Any]]]:
    """Forward and backward of ours; returns the image and gradients in peer's order."""
    settings = RenderSettings(backend=backend, max_alpha=0.999)
    splat, camera = splat_and_camera(case)
    d_color, d_alpha = map(jnp.asarray, cotangents(case[2]))

    def loss(splat: Splat, camera: Cameras) -> tuple[Any, Any]:
        out = render(splat, camera, settings=settings)
        return jnp.sum(out.color * d_color) + jnp.sum(out.alpha * d_alpha), out.color

    step = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))

    def run() -> tuple[Any, list[Any]]:
        (d_splat, d_camera), color = jax.block_until_ready(step(splat, camera))
        names = gsplat_peer.Peer.names[:-1]
        grads = [getattr(d_splat, name) for name in names]
        return color, [*grads, d_camera.camera_from_world]

    return run


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


def ratio(ours: list[float], peers: list[float]) -> dict[str, Any]:
    each = [a / b for a, b in zip(ours, peers, strict=True)]
    value = statistics.median(ours) / statistics.median(peers)
    return figure(value, [min(each), max(each)])


def figure(value: float, spread: list[float]) -> dict[str, Any]:
    return {"value": value, "unit": "ratio", "better": "lower", "spread": spread}


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


def memory_case(name: str, small: bool) -> dict[str, dict[str, Any]]:
    """Memory ratios, each side in its own process."""
    megabytes = {}
    for side in ("native", "xla", "gsplat"):
        words = [sys.executable, __file__, "--peak", side, "--cases", name]
        done = subprocess.run(
            [*words, *(["--small"] if small else [])],
            capture_output=True,
            text=True,
            check=True,
        )
        megabytes[side] = float(done.stdout.split()[-1])
    print(name, "megabytes:", megabytes)
    values = {s: megabytes[s] / megabytes["gsplat"] for s in ("native", "xla")}
    return {
        f"{side}_memory_vs_gsplat_{name}": figure(value, [value, value])
        for side, value in values.items()
    }


def machine() -> dict[str, Any]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    load = os.getloadavg()[0]
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "load": load}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default="512,garden")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="a 64 x 64 scene for 512")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    args = parser.parse_args()
    cases = args.cases.split(",")
    if not native.available():
        sys.exit("error: the native backend is not available; install g++.")
    if args.peak:
        print(peak_memory(cases[0], args.peak, args.small))
        return
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
