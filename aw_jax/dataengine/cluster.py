"""The simulation on a Ray cluster: a unit is a task, and Ray does the rest.

A unit writes whole files under names of its own into a folder that all nodes share and
is skipped where its shard exists, so a task may run again, or twice at once, without a
clip lost or doubled. Where tasks run, and that those of a killed worker or node run
again, is Ray's business; it needs the extra [cluster].
"""

import importlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from aw_jax.core.errors import UserError
from aw_jax.dataengine import shards
from aw_jax.dataengine.simulation import Told, Unit, make_unit, units_of
from aw_jax.dataengine.simulation_config import DEFAULT, SimulationConfig
from aw_jax.dataengine.sources import SceneSource
from aw_jax.runs.memory import keep_freed_pages

RETRIES = 16
"""How often Ray starts a unit again whose worker or node died."""


def simulate_on_cluster(
    scenes: Sequence[SceneSource | int],
    folder: str | Path,
    *,
    address: str,
    config: SimulationConfig = DEFAULT,
    told: Told = lambda done, total, last: None,
) -> dict[str, Any]:
    """As `simulation.simulate`, on the cluster at `address`; makes the same bytes.

    Args:
        scenes: As there.
        folder: As there, under the same path on every node.
        address: "local", "local:N" for N workers on this machine, or that of a running
            cluster ("auto", "HOST:PORT").
        config: The clips.
        told: As there; units finish in any order.

    Raises:
        UserError: no Ray, no such cluster, or what a unit raised.
    """
    units, folder = units_of(scenes, config), Path(folder).absolute()
    missing = [unit for unit in units if not shards.path_of(folder, unit).exists()]
    with _connected(address) as ray:
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(_unit)
        waiting = [task.remote(unit, folder, config) for unit in missing]
        total = len(waiting)
        while waiting:
            (first, *_), waiting = ray.wait(waiting)
            try:
                last = ray.get(first)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            told(total - len(waiting) - 1, total, last)
    told(total, total, {})
    return shards.join(folder, units)


def _unit(unit: Unit, folder: Path, config: SimulationConfig) -> dict[str, Any]:
    """What a worker does, which no launcher set up; an earlier try may have done it."""
    if shards.path_of(folder, unit).exists():
        return {}
    keep_freed_pages()
    return make_unit(unit, folder, config)


@contextmanager
def _connected(address: str) -> Generator[ModuleType, None, None]:
    """Ray, connected; a cluster that is not local goes on when the block ends."""
    try:
        ray = importlib.import_module("ray")
    except ImportError as error:
        raise UserError(
            "--cluster needs Ray: pip install 'aw_jax[cluster]' in the environment of "
            "every node."
        ) from error
    kind, _, count = address.partition(":")
    if kind == "local" and count and not (count.isdigit() and int(count)):
        raise UserError(f"--cluster={address}: expected local:N with N at least 1.")
    where: dict[str, Any] = {"address": address}
    if kind == "local":
        where |= {"num_cpus": int(count) if count else None, "include_dashboard": False}
        where["address"] = "local"
    try:
        ray.init(**where, log_to_driver=False)
    except ConnectionError as error:
        raise UserError(
            f"--cluster={address}: no Ray cluster answers there; start one with "
            "`ray start --head`, or use --cluster=local."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()
