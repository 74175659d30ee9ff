"""How the time of a render grows: with Gaussians, with pixels, and with threads.

  python scripts/bench/growth.py [--backends native,xla] [--rounds 3] [--turns 40]

Forward and backward of the full render of `cases.random_case`. `count`: 10,000 to 1
million Gaussians of the same few pixels at 512 x 512, so that each meets as many tiles.
`pixels`: 100,000 Gaussians at sides of 128 to 1,024, of the same share of the view. A
figure is the slope of log time over log Gaussians (pixels) at the last three sizes,
medians of interleaved rounds: 1 is proportional. `native_one_over_two_threads` is the
time of the native kernels (forward and backward, of given ellipses) on one core over
that on two; `render_one_over_two_threads` that of the full render, whose projection
XLA compiles. Three processes wait beside each other, one for the first core, one for
the second, one for both, and run a call each, `turns` times. A neighbour on a shared
machine slows now this core, now that, by up to two times; so the time on one core is
the harmonic mean of a turn's two, whose work the two cores could do together in half of
it, and a figure is the median over the turns. Freed pages are kept, as our launchers
do, since two threads that fill pages wait for each other. The last line is JSON.
"""

import os
import sys

if "--cores" in sys.argv:  # before jax counts them
    wanted = sys.argv[sys.argv.index("--cores") + 1]
    os.sched_setaffinity(0, map(int, wanted.split(",")))

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


class Held:
    """A process held to some cores, which runs a call of each kind when it is told."""

    def __init__(self, *cores: int) -> None:
        command = [sys.executable, __file__, "--cores", ",".join(map(str, cores))]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def seconds(self) -> list[float]:
        """Of the kernels and of a render."""
        sent, answers = self._process.stdin, self._process.stdout
        assert sent
        assert answers
        print(file=sent, flush=True)
        return [float(word) for word in answers.readline().split()]


def on_cores() -> None:
    """Runs the kernels and a render for each line that comes; prints the seconds."""
    keep_freed_pages()
    case = random_case(100_000, 512)
    runs = (compositing(case), our_run(case, "native"))
    for run in runs:
        run()
    for _ in sys.stdin:
        print(*(timed(run) for run in runs), flush=True)


def threads(turns: int) -> dict[str, dict[str, Any]]:
    """Time on one core over time on two."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    held = [Held(first), Held(second), Held(first, second)]
    for _ in range(3):  # compiled, and the pages are there
        [each.seconds() for each in held]
    seconds = np.asarray([[each.seconds() for each in held] for _ in range(turns)])
    print("first, second, both cores:", np.median(seconds, axis=0).round(4).tolist())
    ratios = 2 / (1 / seconds[:, :2]).sum(axis=1) / seconds[:, 2]
    return {
        f"{name}_one_over_two_threads": told(float(np.median(each)), each.tolist())
        | {"unit": "ratio", "better": "higher"}
        for name, each in zip(("native", "render"), ratios.T, strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", default="native,xla")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turns", type=int, default=40, help="of one and two cores")
    parser.add_argument("--cores", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.cores:
        on_cores()
        return
    at_start, figures = machine(), {}
    counts, pixels = list(COUNTS), [side**2 for side in SIDES]
    for backend in filter(None, args.backends.split(",")):
        cases = [random_case(count, 512) for count in counts]
        figures[f"{backend}_count"] = slope(counts, cases, backend, args.rounds)
        cases = [enlarged(side) for side in SIDES]
        figures[f"{backend}_pixels"] = slope(pixels, cases, backend, args.rounds)
    figures |= threads(args.turns)
    found = {"figures": figures, "machine": at_start, "versions": versions()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
