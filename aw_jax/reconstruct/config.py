"""Everything that `reconstruct` can be told, the tiny preset by default; and `fit`."""

import dataclasses

from aw_jax.data.initial_points import InitialPointsConfig
from aw_jax.data.photos import PhotoSize
from aw_jax.data.splits import SplitConfig
from aw_jax.metrics.frames import FrameMetricsConfig
from aw_jax.reconstruct.closed_loop import LoopConfig
from aw_jax.reconstruct.guard import GuardConfig
from aw_jax.splat.fit_config import FitConfig

TINY_LOOP = LoopConfig(
    base_steps=1000,
    rounds=2,
    round_steps=500,
    clips=3,
    frames=25,
    width=96,
    height=96,
    save_every=250,
)
"""Small clips for `ltx_tiny`; minutes on two cores."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReconstructConfig:
    """One reconstruction."""

    model: str = "ltx_tiny"
    """A preset's name, or a folder with vae, transformer and adapters."""
    split: SplitConfig = SplitConfig(protocol="ratio", ratio=0.1)
    photos: PhotoSize = PhotoSize(short_side=144)
    """Size that photos are fitted and measured at."""
    points: InitialPointsConfig = InitialPointsConfig()
    fit: FitConfig = FitConfig(capacity=20_000)
    """`fit.steps` is set to the loop's length."""
    loop: LoopConfig = TINY_LOOP
    guard: GuardConfig = GuardConfig()
    metrics: FrameMetricsConfig = FrameMetricsConfig()

    @property
    def whole_fit(self) -> FitConfig:
        """The fit, as long as the loop."""
        return dataclasses.replace(self.fit, steps=self.loop.steps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitRunConfig:
    """One plain fit of one scene."""

    split: SplitConfig = SplitConfig()
    photos: PhotoSize = PhotoSize(max_side=800)
    points: InitialPointsConfig = InitialPointsConfig()
    fit: FitConfig = FitConfig(steps=7_000)
    metrics: FrameMetricsConfig = FrameMetricsConfig()
    save_every: int = 500
    """Steps between snapshots."""
