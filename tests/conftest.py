"""What all tests share: quickly compiled programs, and one cache of them.

Compiling is most of what tests do, so XLA is told to optimise nothing, unless XLA_FLAGS
says otherwise: `scripts/check.sh --slow` sets it to nothing, and tests that start a
launcher leave it out, so that these run programs as users have them.
"""

import os
import subprocess
import sys

import jax
import pytest

os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false",
)


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory, worker_id):
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    jax.config.update("jax_compilation_cache_dir", str(shared / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return shared / "compiled"


@pytest.fixture
def on_one_processor():
    """Runs a function of a file where one is seen; returns the word it gives."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two processors and a way to hide one")

    def run(file, name):
        script = (
            "import os, runpy\n"
            "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
            f"print(runpy.run_path({file!r})[{name!r}]())\n"
        )
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.split()[-1]

    return run


def pytest_collection_modifyitems(items):
    """The longest files first, so that no process waits for the other at the end."""
    long = ("e2e", "train", "reconstruct")
    items.sort(key=lambda item: not set(long) & set(item.path.parts))
