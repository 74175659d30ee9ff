"""The whole reconstruction with two random layers: for tests of everything around them.

Its splats are no better than the baseline; the guard sees to it that they are no worse.

  python -m aw_jax.launch.reconstruct --scene=DIR --out=DIR \
    --config=configs/reconstruct_probe.py
"""

from aw_jax.data.initial_points import InitialPointsConfig
from aw_jax.data.photos import PhotoSize
from aw_jax.data.splits import SplitConfig
from aw_jax.metrics.frames import FrameMetricsConfig
from aw_jax.reconstruct.closed_loop import LoopConfig
from aw_jax.reconstruct.config import ReconstructConfig
from aw_jax.splat.fit_config import FitConfig


def get_config() -> ReconstructConfig:
    return ReconstructConfig(
        model="probe",
        split=SplitConfig(protocol="views", views=4),
        photos=PhotoSize(short_side=48),
        points=InitialPointsConfig(protocol="random", least=800),
        fit=FitConfig(capacity=1500, sh_degree=1),
        loop=LoopConfig(
            base_steps=60,
            rounds=1,
            round_steps=40,
            clips=2,
            frames=25,
            width=64,
            height=32,
            save_every=20,
        ),
        metrics=FrameMetricsConfig(lpips_net="none"),
    )
