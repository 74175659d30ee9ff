"""The simulator: clips per core-hour by route, where time goes, and what Ray adds.

  python scripts/bench/simulate.py [--scenes 2] [--units 24] [--only routes|workers]

Clips are 33 x 96 x 96. Routes run in this process on one core, once to compile all
programs and then timed; every clip is labelled with `st-lpips-vgg`.
`kernel_share` is the time of fit, render and label, each drained before the next
begins, over the whole. For `ray_speedup`, one core each is given to two nodes of a Ray
cluster that runs already, and to plain processes that share the same units; all of them
find compiled programs in the cache. That the launcher and its workers start counts: on
Ray one after the other, so that a job of a few units says more of the start than of the
work. The last line is JSON.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CORES = sorted(os.sched_getaffinity(0))[:2]
FIRST = 13_900_000
"""Seed of the first scene, of the test range."""
KERNELS = ("fit", "render", "label")
SETTLE = 15.0
"""Seconds that a new cluster's own processes are given to come up."""


def routes() -> dict[str, Any]:
    """The config of each route."""
    from aw_jax.dataengine.artifacts.breaking import SETTINGS
    from aw_jax.dataengine.plan import TYPES, PlanConfig
    from aw_jax.dataengine.simulation import SimulationConfig

    whole = SimulationConfig(frames=33, scenes_per_shard=1)

    def by(types: Sequence[str]) -> Any:
        plan = PlanConfig(types=tuple(types), most=len(types))
        return dataclasses.replace(whole, clean="fit", paths=0, broken=12, plan=plan)

    return {
        "optimisation": whole,
        "perturbation": by([name for name in TYPES if name not in SETTINGS]),
        "settings": by([name for name in TYPES if name in SETTINGS]),
    }


def timed(route: str, config: Any, scenes: int, folder: Path) -> dict[str, float]:
    """Seconds by stage, and clips, of one route's scenes."""
    from aw_jax.dataengine.label_shards import label_folder
    from aw_jax.dataengine.labels import LabelConfig
    from aw_jax.dataengine.simulation import simulate
    from aw_jax.dataengine.stages import Stages

    def run(to: Path, every: int) -> tuple[Stages, int]:
        stages = Stages()
        made = simulate(seeds, to, config=config, stages=stages)
        if made["clips"]:
            with stages("label"):
                label_folder(to, config=LabelConfig(), every=every)
        return stages, made["clips"]

    seeds = range(FIRST, FIRST + scenes)
    run(folder / f"{route}-first", every=12)
    begin = time.perf_counter()
    stages, clips = run(folder / route, every=1)
    wall = time.perf_counter() - begin
    print(f"{route}: {clips} clips, {wall:.1f} s, {dict(stages.seconds)}", flush=True)
    return {**stages.seconds, "wall": wall, "clips": clips}


def of_routes(scenes: int, folder: Path) -> dict[str, Any]:
    """Rates and shares."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES[:1])
    found = {
        name: timed(name, config, scenes, folder) for name, config in routes().items()
    }
    os.sched_setaffinity(0, allowed)
    figures = {}
    for name, spent in found.items():
        rate = spent["clips"] / spent["wall"] * 3600
        figures[f"clips_per_core_hour_{name}"] = figure(rate, "clips/h", "higher")
        for stage in ("truth", "fit", "render", "gate", "label", "write"):
            share = spent.get(stage, 0.0) / spent["wall"]
            figures[f"{stage}_share_{name}"] = figure(share, "ratio", "lower")
    wall = sum(spent["wall"] for spent in found.values())
    kernels = sum(spent.get(s, 0.0) for spent in found.values() for s in KERNELS)
    return figures | {"kernel_share": figure(kernels / wall, "ratio", "higher")}


def of_workers(units: int, folder: Path) -> dict[str, Any]:
    """Wall seconds of one and two workers of one core, plain and on Ray."""
    run(units, folder / "warm", CORES)
    seconds = {
        "plain_1": run(units, folder / "plain-1", CORES[:1]),
        "plain_2": run(units, folder / "plain-2", CORES),
        "ray_1": on_ray(units, folder / "ray-1", CORES[:1]),
        "ray_2": on_ray(units, folder / "ray-2", CORES),
    }
    same = {name: contents(folder / name.replace("_", "-")) for name in seconds}
    assert all(made == same["plain_1"] for made in same.values()), "outputs differ"
    print(f"workers: {seconds}", flush=True)
    over_plain = seconds["plain_2"] / seconds["ray_2"]
    return {
        "plain_speedup": figure(seconds["plain_1"] / seconds["plain_2"]),
        "ray_speedup": figure(seconds["ray_1"] / seconds["ray_2"]),
        "ray_over_plain": figure(over_plain),
    }


def run(units: int, out: Path, cores: list[int]) -> float:
    """Seconds of plain processes, one per core, that share the units."""
    count = len(cores)
    begin = time.perf_counter()
    made = [
        subprocess.Popen(
            ["taskset", "-c", str(core), *command(units, out), f"--share={i}/{count}"],
            cwd=ROOT,
        )
        for i, core in enumerate(cores)
    ]
    for process in made:
        if process.wait():
            sys.exit(f"error: {process.args} left with {process.returncode}")
    return time.perf_counter() - begin


def on_ray(units: int, out: Path, cores: list[int]) -> float:
    """Seconds of the job on a Ray cluster whose nodes have a core each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    allowed = os.sched_getaffinity(0)
    for core in cores:
        os.sched_setaffinity(0, [core])  # a node's processes inherit it
        cluster.add_node(num_cpus=1)
    os.sched_setaffinity(0, allowed)
    time.sleep(SETTLE)
    try:
        begin = time.perf_counter()
        words = [*command(units, out), f"--cluster={cluster.address}"]
        subprocess.run(words, cwd=ROOT, check=True)
        return time.perf_counter() - begin
    finally:
        cluster.shutdown()


def command(units: int, out: Path) -> list[str]:
    """The launcher, on `units` scenes that are a unit each."""
    return [
        *(sys.executable, "-m", "aw_jax.launch.simulate"),
        *(f"--scenes=procedural:{FIRST}:{units}", f"--out={out}"),
        *("--config.frames=33", "--config.scenes_per_shard=1"),
    ]


def contents(out: Path) -> dict[str, bytes]:
    """The files of a run's clips."""
    return {path.name: path.read_bytes() for path in (out / "clips").iterdir()}


def figure(value: float, unit: str = "ratio", better: str = "higher") -> dict[str, Any]:
    return {"value": value, "unit": unit, "better": better, "spread": [value, value]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=2, help="timed, per route")
    parser.add_argument("--units", type=int, default=24, help="of the workers' job")
    parser.add_argument("--only", choices=("routes", "workers"))
    args = parser.parse_args()
    parts: dict[str, Callable[[Path], dict[str, Any]]] = {
        "workers": lambda folder: of_workers(args.units, folder),
        "routes": lambda folder: of_routes(args.scenes, folder),
    }
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(name) / "compiled"))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        for part, measure in parts.items():
            if args.only in (None, part):
                figures |= measure(Path(name))
    from cases import machine

    from aw_jax.runs.versions import versions

    told = {"figures": figures, "machine": machine(), "versions": versions()}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
