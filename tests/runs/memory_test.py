"""What becomes of freed pages, mostly in a process of its own."""

import platform
import subprocess
import sys

import jax
import pytest

from aw_jax.runs import memory

MEASURE = """
import resource, sys
from aw_jax.runs.memory import keep_freed_pages

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytes([1]) * (64 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "keep":
    assert keep_freed_pages()
print([faults() for _ in range(3)][-1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_pages_are_used_again() -> None:
    def measured(mode: str) -> int:
        command = [sys.executable, "-c", MEASURE, mode]
        return int(subprocess.run(command, capture_output=True, check=True).stdout)

    assert measured("leave") > 1000 > 10 * measured("keep")


SCATTERED = """
from pathlib import Path
from aw_jax.runs.memory import return_freed_pages

def megabytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(x for x in lines if x.startswith("VmRSS")).split()[1]) / 1024

many = [bytearray(4000) for _ in range(40_000)]
few = many[::50]
del many
before = megabytes()
assert return_freed_pages()
print(before - megabytes())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_pages_between_live_ones_are_returned() -> None:
    command = [sys.executable, "-c", SCATTERED]
    assert float(subprocess.run(command, capture_output=True, check=True).stdout) > 75


def test_only_long_compiles_hand_memory_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    returned: list[bool] = []
    monkeypatch.setattr(memory, "return_freed_pages", lambda: returned.append(True))
    memory.return_pages_after_compiling()
    memory.return_pages_after_compiling()  # asked twice: one listener

    def compiled_anew(threshold: float) -> int:
        monkeypatch.setattr(memory, "_LONG_COMPILE", threshold)
        before = len(returned)
        jax.jit(lambda x: x + threshold).lower(1.0).compile()
        return len(returned) - before

    assert compiled_anew(0.0) == 1
    assert compiled_anew(600.0) == 0
