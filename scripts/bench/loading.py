"""Memory that loading a single-file checkpoint takes beside the parameters it places.

  python scripts/bench/loading.py [--gigabytes 4] [--devices 1,8]

A synthetic bfloat16 file of the 13B's proportions (width 2,048, as many blocks as fit)
is loaded in a process of its own, on one CPU device and spread over eight virtual ones.
`excess` is the peak of anonymous memory, sampled every millisecond, over what was there
before plus the bytes of the placed parameters, in megabytes; the limit is 1.3 times the
largest source tensor's part on a device, plus 64 MB. The last line is JSON; the status
is 1 if a limit is passed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import ml_dtypes
import numpy as np

from aw_jax.models.ltx import config as ltx
from aw_jax.models.ltx import weights
from aw_jax.models.ltx.transformer_files import PREFIX, load_transformer

WIDTH = {"heads": 16, "head_dim": 128, "caption_channels": 4096}
MEGA = 1e6


def config_of(gigabytes: float) -> ltx.TransformerConfig:
    """As many blocks (67 million parameters each) as fit, at least two."""
    layers = max(2, round(gigabytes * 1e9 / 2 / 67.2e6))
    return ltx.TransformerConfig(
        layers=layers, rope_time="causal", param_dtype="bfloat16", **WIDTH
    )


def write(path: Path, config: ltx.TransformerConfig) -> None:
    """A file of seeded noise, tensor by tensor, so that writing needs no memory."""
    slots = weights.tensor_names(config, "lightricks")
    header: dict[str, object] = {
        "__metadata__": {"config": json.dumps({"transformer": ltx.to_upstream(config)})}
    }
    shapes, end = [weights.tensor_shape(config, slot) for slot in slots.values()], 0
    for name, shape in zip(slots, shapes, strict=True):
        start, end = end, end + 2 * int(np.prod(shape))
        entry = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
        header[PREFIX + name] = entry
    text = json.dumps(header).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes:
            drawn = rng.standard_normal(shape, np.float32)
            file.write(drawn.astype(ml_dtypes.bfloat16).tobytes())


def anonymous() -> int:
    """Bytes of memory of this process that no file backs."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(x.split()[1]) for x in lines if x.startswith("RssAnon"))


class Peak:
    """The largest `anonymous` while the block runs."""

    def __enter__(self) -> "Peak":
        self.value, self.over = anonymous(), False
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.over:
            self.value = max(self.value, anonymous())
            time.sleep(1e-3)

    def __exit__(self, *_: object) -> None:
        self.over = True
        self.thread.join()


def measure(path: Path, devices: int) -> dict[str, float]:
    """Loads the file here and tells what that took."""
    import jax

    from aw_jax.models.ltx.placement import spread

    assert len(jax.devices()) == devices
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("fsdp",))
    place = spread(mesh, "fsdp") if devices > 1 else None
    jax.block_until_ready(jax.device_put(np.zeros(8)))  # the runtime's own memory
    before, start = anonymous(), time.perf_counter()
    with Peak() as peak:
        model = load_transformer(path, place=place, param_dtype="bfloat16")
        leaves = jax.block_until_ready(jax.tree.leaves(model))
    seconds = time.perf_counter() - start
    shards = [shard.data for leaf in leaves for shard in leaf.addressable_shards]
    placed = sum(shard.nbytes for shard in shards)
    slots = weights.tensor_names(model.config, "lightricks").values()
    whole = max(np.prod(weights.tensor_shape(model.config, slot)) for slot in slots)
    limit = 1.3 * 2 * float(whole) / devices + 64e6
    excess = peak.value - before - placed
    return {
        "placed_mb": placed / MEGA,
        "excess_mb": excess / MEGA,
        "limit_mb": limit / MEGA,
        "seconds": seconds,
    }


def child(path: Path, devices: int) -> dict[str, float]:
    """`measure` in a process of its own, which sees that many devices."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    words = [sys.executable, __file__, "--load", str(path), "--devices", str(devices)]
    done = subprocess.run(
        words,
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--devices", default="1,8")
    parser.add_argument("--load", help=argparse.SUPPRESS)
    args = parser.parse_args()
    counts = [int(x) for x in args.devices.split(",")]
    if args.load:
        print(json.dumps(measure(Path(args.load), counts[0])))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "synthetic.safetensors"
        write(path, config_of(args.gigabytes))
        size = path.stat().st_size / MEGA
        found = {f"devices_{n}": child(path, n) for n in counts}
    print(json.dumps({"file_mb": size, **found}))
    sys.exit(any(x["excess_mb"] > x["limit_mb"] for x in found.values()))


if __name__ == "__main__":
    main()
