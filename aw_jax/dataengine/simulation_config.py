"""What a simulation makes, and how it is packed."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from aw_jax.core.errors import UserError
from aw_jax.data.procedural.seeds import BENCHMARK
from aw_jax.dataengine.dense_fit import DenseFitConfig
from aw_jax.dataengine.gate import GateConfig
from aw_jax.dataengine.plan import PlanConfig
from aw_jax.dataengine.sources import CapturedScene, ProceduralScene, SceneSource
from aw_jax.dataengine.sparse_fit import SparseFitConfig, skip_of
from aw_jax.geometry.trajectories import TrajectoryConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """What clips are made, and how they are packed.

    The shares of the routes are those of `paths` times the sparse fit's snapshots, by
    optimisation, and of `broken`, by edits and settings as the plan has them.
    """

    frames: int = 25
    """Of a clip, 8 n + 1."""
    width: int = 96
    height: int = 96
    clean: Literal["scene", "fit"] = "scene"
    """What is clean: the exact picture of a procedural scene, or the dense fit's."""
    sparse: SparseFitConfig = SparseFitConfig()
    paths: int = 4
    """Camera paths per sparse fit; each gives a clip per snapshot. 0: no such clips."""
    walked: float = 0.5
    """Share of paths that follow the walk of the photos, either way; the others, and
    those for which the walk has no stretch left, are Reference-guided Trajectories, as
    the closed loop renders them. With `clean` "fit", every path follows it."""
    rounds: int = 3
    """Trajectories are drawn as those of rounds 0 to `rounds` - 1."""
    trajectory: TrajectoryConfig = TrajectoryConfig()
    broken: int = 0
    """Clips per scene that are broken by `plan`, from a dense fit."""
    plan: PlanConfig = PlanConfig()
    dense: DenseFitConfig = DenseFitConfig()
    least_fidelity: float = 24.0
    """PSNR of a dense fit against its photos, in dB: below it a scene is refused."""
    gate: GateConfig = GateConfig()
    scenes_per_shard: int = 8

    def __post_init__(self) -> None:
        if self.frames < 9 or self.frames % 8 != 1:
            raise ValueError(
                f"SimulationConfig.frames must be 8 n + 1, got {self.frames}."
            )
        if self.paths < 0 or self.broken < 0 or self.paths + self.broken == 0:
            raise ValueError(
                "SimulationConfig: expected paths or broken clips, got "
                f"paths={self.paths}, broken={self.broken}."
            )
        if self.scenes_per_shard < 1:
            raise ValueError(
                "SimulationConfig.scenes_per_shard must be positive, got "
                f"{self.scenes_per_shard}."
            )

    @property
    def densely(self) -> bool:
        """Whether scenes get a dense fit."""
        return self.clean == "fit" or self.broken > 0


DEFAULT = SimulationConfig()


def check(scenes: Sequence[SceneSource], config: SimulationConfig) -> None:
    """Refuses what no scene could satisfy.

    Raises:
        UserError: no scenes, those of the benchmark, captures without a dense fit as
            truth, or an odd skip.
    """
    if not scenes:
        raise UserError("simulate: expected at least one scene, got none.")
    for scene in scenes:
        if isinstance(scene, ProceduralScene) and scene.seed in BENCHMARK:
            raise UserError(
                f"scene {scene.seed}: seeds {BENCHMARK.start}..{BENCHMARK.stop - 1} "
                "are the benchmark's, which no training may see; take seeds below "
                "10000000, or make the benchmark: python -m aw_jax.launch.benchmark."
            )
    captured = next((s for s in scenes if isinstance(s, CapturedScene)), None)
    if captured is not None and config.clean == "scene":
        raise UserError(
            f"scene {captured.path}: what a capture looks like between its photos is "
            "not known; measure against the dense fit: --config.clean=fit."
        )
    if config.paths and captured is None:
        skip_of(config.sparse, config.frames)
