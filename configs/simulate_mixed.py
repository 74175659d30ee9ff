r"""Clips of all three routes, measured against a dense fit, as Sec. 3.2 of the paper.

Of every scene: a dense fit, broken into 16 clips by 1 to all types with balanced types;
and a sparse fit whose training views lie 8 frames apart, looked at five times between
5 and 40 % of its schedule, as 1.5K to 12K are of 30K steps, along 3 paths. In a quarter
of procedural scenes something moves while the photos are taken.

  python -m aw_jax.launch.simulate --config=configs/simulate_mixed.py \
    --scenes=procedural:0:64 --out=DIR
"""

from aw_jax.dataengine.simulation import SimulationConfig
from aw_jax.dataengine.sparse_fit import SparseFitConfig


def get_config() -> SimulationConfig:
    return SimulationConfig(
        clean="fit",
        paths=3,
        broken=16,
        sparse=SparseFitConfig(
            views=(4, 6),
            gap=(0.12, 0.4),
            skip=8,
            steps=(1000, 2500),
            snapshots=(0.05, 0.1, 0.17, 0.27, 0.4),
            moving=0.25,
        ),
    )
