"""Memory of the process: the largest so far, and what becomes of freed pages."""

import ctypes
import functools
import platform
import resource
import sys

import jax

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1
_COMPILED = "/jax/core/compile/backend_compile_duration"
_LONG_COMPILE = 0.5
"""Seconds; to hand memory back takes less than a tenth of it."""


def peak_gigabytes() -> float:
    """The largest memory in use so far, in 10^9 bytes: the device's, RSS on a CPU."""
    device = jax.local_devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"] / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def keep_freed_pages() -> bool:
    """Tells glibc to keep freed memory for what comes next; True if it agreed.

    A compiled program on a CPU asks for its buffers anew on every call. By default
    large ones are handed back to the kernel, which fills them with zeros page by page
    the next time: a quarter of the processor time of a fit step with 100,000 Gaussians.
    Memory in use stays near its peak instead. Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return all(libc.mallopt(x, _NEVER) for x in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))


def return_freed_pages() -> bool:
    """Hands all freed memory back to the kernel at once; True if glibc had any."""
    if platform.libc_ver()[0] != "glibc":
        return False
    return bool(ctypes.CDLL(None).malloc_trim(0))


@functools.cache
def return_pages_after_compiling() -> None:
    """From now on `return_freed_pages` follows every long compile of this process.

    What XLA's compiler has used and freed lies scattered between what is alive, some
    hundred megabytes of it for a large program, and calls for large buffers do not find
    it: without this the program's own memory comes on top.
    """
    jax.monitoring.register_event_duration_secs_listener(_after_compiling)


def _after_compiling(event: str, duration_secs: float, **_: str | int) -> None:
    if event == _COMPILED and duration_secs >= _LONG_COMPILE:
        return_freed_pages()
