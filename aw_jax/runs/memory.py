"""Peak memory of the process: device peak on an accelerator, RSS on a CPU."""

import resource
import sys

import jax


def peak_gigabytes() -> float:
    """The largest memory in use so far, in 10^9 bytes."""
    device = jax.local_devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"] / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
