"""How the time of a render grows: with Gaussians, with pixels, and with threads.

  python scripts/bench/growth.py [--backends native,xla] [--rounds 3]

Forward and backward of the full render of `cases.random_case`. `count`: 10,000 to 1
million Gaussians of the same few pixels at 512 x 512, so that each meets as many tiles.
`pixels`: 100,000 Gaussians at sides of 128 to 1,024, of the same share of the view. A
figure is the slope of log time over log Gaussians (pixels) at the last three sizes,
medians of interleaved rounds: 1 is proportional. `native_one_over_two_threads` is the
time of the native kernels (forward and backward, of given ellipses) on one core over
that on two, each an own process, in turns; `render_one_over_two_threads` that of the
full render, whose projection XLA compiles; freed pages are kept, as our launchers do,
since two threads that fill pages wait for each other. The last line is JSON.
"""

import os
import sys

if "--cores" in sys.argv:  # before jax counts them
    wanted = int(sys.argv[sys.argv.index("--cores") + 1])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:wanted])

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from cases import Case, machine, our_run, random_case, splat_and_camera

from aw_jax.runs.memory import keep_freed_pages
from aw_jax.runs.versions import versions
from aw_jax.splat import projection
from aw_jax.splat.kernels import native
from aw_jax.splat.settings import RenderSettings

COUNTS = (10_000, 32_000, 100_000, 320_000, 1_000_000)
SIDES = (128, 256, 512, 1024)


def timed(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def enlarged(side: int) -> Case:
    """The 512 x 512 case seen by a finer camera: every Gaussian grows with the side."""
    arrays, intrinsics, _ = random_case(100_000, 512)
    intrinsics = intrinsics * np.float32([[side / 512], [side / 512], [1]])
    return arrays, intrinsics, (side, side)


def slope(sizes: list[int], cases: list[Case], backend: str, rounds: int) -> Any:
    """Of log time over log size at the last three sizes, and that of every round."""
    runs = [our_run(case, backend) for case in cases]
    for run in runs:
        run()
    seconds = np.asarray([[timed(run) for run in runs] for _ in range(rounds)])
    print(backend, dict(zip(sizes, np.median(seconds, axis=0).round(4), strict=True)))
    fitted = lambda times: np.polyfit(np.log(sizes[-3:]), np.log(times[-3:]), 1)[0]
    each = [float(fitted(times)) for times in seconds]
    return told(float(fitted(np.median(seconds, axis=0))), each)


def told(value: float, each: list[float]) -> dict[str, Any]:
    spread = [min(each), max(each)]
    return {"value": value, "unit": "slope", "better": "lower", "spread": spread}


def compositing(case: Case) -> Callable[[], Any]:
    """The native kernels, forward and backward, on what a case projects to."""
    splat, camera = splat_and_camera(case)
    cameras, settings = jax.tree.map(lambda x: x[None], camera), RenderSettings()
    p = projection.project(splat, cameras, settings)
    colors = projection.shade(splat, cameras, settings)
    inputs = (p.means2d, p.conics, p.opacities, colors, p.depths, p.radii)
    sizes = {"width": camera.width, "height": camera.height, "max_alpha": 0.99}

    @jax.jit
    def both() -> Any:
        seen, light, *_ = native.forward(*inputs, **sizes)
        outer = jnp.ones_like(seen), jnp.ones_like(light)
        return native.backward(*inputs, seen, light, *outer, **sizes)

    return lambda: jax.block_until_ready(both())


def child(cores: int) -> tuple[float, float]:
    """Seconds of the kernels and of a render in a process held to so many cores."""
    command = [sys.executable, __file__, "--cores", str(cores)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    kernels, whole = done.stdout.split()[-2:]
    return float(kernels), float(whole)


def on_cores(cores: int) -> None:
    """Prints the best of ten calls of each."""
    assert len(os.sched_getaffinity(0)) == cores
    keep_freed_pages()
    case = random_case(100_000, 512)
    runs = (compositing(case), our_run(case, "native"))
    for run in runs:
        run()
        print(min(timed(run) for _ in range(10)))


def threads(rounds: int) -> dict[str, dict[str, Any]]:
    """Time on one core over time on two."""
    seconds = np.asarray([(child(1), child(2)) for _ in range(rounds)])
    print("one and two cores:", seconds.round(4).tolist())
    ratios = seconds[:, 0] / seconds[:, 1]
    return {
        f"{name}_one_over_two_threads": told(float(np.median(each)), each.tolist())
        | {"unit": "ratio", "better": "higher"}
        for name, each in zip(("native", "render"), ratios.T, strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", default="native,xla")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.cores:
        on_cores(args.cores)
        return
    at_start, figures = machine(), {}
    counts, pixels = list(COUNTS), [side**2 for side in SIDES]
    for backend in filter(None, args.backends.split(",")):
        cases = [random_case(count, 512) for count in counts]
        figures[f"{backend}_count"] = slope(counts, cases, backend, args.rounds)
        cases = [enlarged(side) for side in SIDES]
        figures[f"{backend}_pixels"] = slope(pixels, cases, backend, args.rounds)
    figures |= threads(args.rounds)
    found = {"figures": figures, "machine": at_start, "versions": versions()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
