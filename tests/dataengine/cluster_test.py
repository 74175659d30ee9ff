"""A real Ray cluster of two nodes makes the bytes of a plain run, whoever dies."""

import contextlib
import importlib.util
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from aw_jax.core.errors import UserError
from aw_jax.data.procedural.seeds import TEST
from aw_jax.dataengine import cluster
from aw_jax.dataengine.cluster import simulate_on_cluster
from aw_jax.dataengine.simulation import simulate

SEEDS = range(TEST.start + 100, TEST.start + 104)
HAS_RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(
    not HAS_RAY, reason="needs Ray: pip install -e '.[cluster]'"
)


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, simulate(SEEDS, folder, config=tiny)


@pytest.fixture
def nodes(monkeypatch, compiled):
    """Two nodes of one worker each; their programs come from the tests' cache."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(compiled))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    args = {"num_cpus": 1, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=args)
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


def _bytes(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _children(pid):
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in tasks for child in file.read_text().split()]


def _at_work(nodes):
    """Processes of our own nodes that are inside a unit just now."""
    for node in nodes.list_all_nodes():
        (raylet,) = node.all_processes["raylet"]
        for pid in _children(raylet.process.pid):
            with contextlib.suppress(OSError):  # it has just left
                if b"ray::_unit" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    yield pid


def _kill_one(nodes, killed):
    """Waits for a worker to be inside a unit, and kills it there."""
    while not killed:
        time.sleep(0.2)
        for pid in list(_at_work(nodes))[:1]:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)


@pytest.mark.slow
@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_a_worker_killed_inside_a_unit_loses_and_doubles_no_clip(
    tiny, whole, nodes, tmp_path
):
    folder, summary = whole
    killed = []
    killer = threading.Thread(target=_kill_one, args=(nodes, killed), daemon=True)
    killer.start()
    made = simulate_on_cluster(SEEDS, tmp_path, address=nodes.address, config=tiny)
    assert killed
    assert made == summary
    assert _bytes(tmp_path) == _bytes(folder)


@pytest.mark.slow
@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_a_node_that_vanishes_loses_and_doubles_no_clip(tiny, whole, nodes, tmp_path):
    folder, summary = whole

    def vanish():
        while len(list(_at_work(nodes))) < 2:
            time.sleep(0.2)
        (other,) = nodes.worker_nodes
        nodes.remove_node(other, allow_graceful=False)
        gone.append(other)

    gone = []
    threading.Thread(target=vanish, daemon=True).start()
    made = simulate_on_cluster(SEEDS, tmp_path, address=nodes.address, config=tiny)
    assert gone
    assert made == summary
    assert _bytes(tmp_path) == _bytes(folder)


def test_a_unit_that_is_there_is_not_made_again(tiny, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(cluster, "make_unit", lambda *unit: made.append(unit) or {})
    (unit, other, *_) = cluster.units_of(SEEDS, tiny)
    cluster.shards.path_of(tmp_path, unit).write_bytes(b"")
    assert cluster._unit(unit, tmp_path, tiny) == {}
    assert not made
    kept = []
    monkeypatch.setattr(cluster, "keep_freed_pages", lambda: kept.append(True))
    cluster._unit(other, tmp_path, tiny)
    assert made == [(other, tmp_path, tiny)]
    assert kept, "no launcher has set the worker up"


def test_without_ray_the_extra_is_named(tiny, tmp_path, monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(cluster.importlib, "import_module", absent)
    with pytest.raises(UserError, match=r"aw_jax\[cluster\]"):
        simulate_on_cluster(SEEDS, tmp_path, address="local:1", config=tiny)


@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_odd_addresses_are_refused(tiny, tmp_path):
    with pytest.raises(UserError, match="local:N"):
        simulate_on_cluster(SEEDS, tmp_path, address="local:0", config=tiny)
