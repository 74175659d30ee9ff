"""Measures the constant that heatmaps are divided by and commits it to constants.json.

    python scripts/measure_heatmap_constant.py --data=DIR [--net=NET] [--clips=N]

DIR holds the clip records of the simulated training set. Labels and adapters carry the
constant: after a new measurement both are made again.
"""

import argparse
import json
from pathlib import Path

from aw_jax.core import atomic
from aw_jax.dataengine.label_shards import measure_folder
from aw_jax.dataengine.labels import LabelConfig
from aw_jax.models.lpips.heatmap import CONSTANTS
from aw_jax.models.lpips.weights import NETS


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the constant of heatmaps.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--net", choices=NETS, default="st-lpips-vgg")
    parser.add_argument("--clips", type=int, default=400)
    asked = parser.parse_args()
    entry = measure_folder(
        asked.data, config=LabelConfig(net=asked.net), most=asked.clips
    )
    constants = json.loads(CONSTANTS.read_text())
    atomic.write_json(CONSTANTS, constants | {asked.net: entry})
    print(f"{asked.net}: {entry}")


if __name__ == "__main__":
    main()
