"""What all tests share: quickly compiled programs, and one cache of them.

Compiling is most of what tests do, so XLA is told to optimise nothing, unless XLA_FLAGS
says otherwise: `scripts/check.sh --slow` sets it to nothing, and tests that start a
launcher leave it out, so that these run programs as users have them.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from aw_jax.native import build

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


@pytest.fixture
def at_lanes(tmp_path, monkeypatch):
    """Compiles a module's kernels for vectors of some width and has it call those.

    Whether they run here: not where the processor lacks the width.
    """

    def use(module, lanes, *maths):
        sets = {4: (), 8: build.AVX2, 16: build.AVX512}[lanes]
        flags = (*build.FLAGS, *maths, f"-DAW_LANES={lanes}", *sets)
        path = tmp_path / "lanes.so"
        folder = Path(module.__file__).parent
        build.compile_to(path, folder, [build.find_compiler(), *flags])
        if not set(sets) <= set(build.machine_flags(build.cpu_description())):
            return False
        assert module.available()  # asked once, under the names that it has by itself
        for field in ("FORWARD", "BACKWARD"):
            name = getattr(module, field)
            handler = jax.ffi.pycapsule(getattr(ctypes.CDLL(str(path)), name))
            jax.ffi.register_ffi_target(f"{name}_{lanes}", handler, platform="cpu")
            monkeypatch.setattr(module, field, f"{name}_{lanes}")
        jax.clear_caches()
        return True

    yield use
    jax.clear_caches()


def pytest_collection_modifyitems(items):
    """The longest files first, so that no process waits for the other at the end."""
    long = ("e2e", "train", "reconstruct")
    items.sort(key=lambda item: not set(long) & set(item.path.parts))
