"""Where the camera of a clip goes: along a walk, or as the closed loop sends it."""

import dataclasses
from typing import Any

import numpy as np

from aw_jax.dataengine.sparse_fit import SparseCapture
from aw_jax.geometry.cameras import Cameras
from aw_jax.geometry.paths import through
from aw_jax.geometry.trajectories import TrajectoryConfig, pairs, reference_trajectory

SPAN = (0.2, 0.8)
"""Share of a capture's views that a clip passes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Course:
    """A camera path between two views."""

    kind: str
    start: int
    end: int
    round: int
    cameras: Cameras

    @property
    def notes(self) -> dict[str, Any]:
        """What a clip's notes say of it."""
        return {
            "kind": self.kind,
            "start": self.start,
            "end": self.end,
            "round": self.round,
            "camera_from_world": np.asarray(self.cameras.camera_from_world).tolist(),
            "intrinsics": np.asarray(self.cameras.intrinsics[0]).tolist(),
        }


def walked(
    seen: SparseCapture, stretch: int, rng: np.random.Generator, *, frames: int
) -> Course:
    """The walk itself from training view `stretch` on, either way."""
    at = np.arange(frames) + stretch * seen.skip
    ends = (stretch, stretch + (frames - 1) // seen.skip)
    if rng.uniform() < 0.5:
        at, ends = at[::-1], ends[::-1]
    cameras = seen.walk[at]
    return Course(kind="walk", start=ends[0], end=ends[1], round=0, cameras=cameras)


def stretches(seen: SparseCapture, *, frames: int) -> int:
    """From how many training views on the walk holds a whole clip."""
    return len(seen.cameras.intrinsics) - (frames - 1) // seen.skip


def guided(
    seen: SparseCapture,
    rng: np.random.Generator,
    *,
    frames: int,
    rounds: int,
    config: TrajectoryConfig,
) -> Course:
    """A Reference-guided Trajectory of some round between two training views."""
    index = int(rng.integers(rounds))
    choice = pairs(seen.cameras, count=len(seen.cameras.intrinsics), round=index)
    start, end = choice[int(rng.integers(len(choice)))]
    cameras = reference_trajectory(
        seen.cameras,
        start=start,
        end=end,
        frames=frames,
        round=index,
        phase=float(rng.uniform()),
        config=config,
    )
    return Course(kind="trajectory", start=start, end=end, round=index, cameras=cameras)


def passing(views: Cameras, rng: np.random.Generator, *, frames: int) -> Course:
    """A smooth path through some neighbouring views of a capture, either way."""
    last = len(views.intrinsics) - 1
    span = int(np.clip(round(rng.uniform(*SPAN) * last), 1, last))
    start = int(rng.integers(last - span + 1))
    at = np.arange(start, start + span + 1)
    if rng.uniform() < 0.5:
        at = at[::-1]
    return Course(
        kind="capture",
        start=int(at[0]),
        end=int(at[-1]),
        round=0,
        cameras=through(views[at], frames),
    )
