"""Reference-guided Trajectories (Sec. 4.4): from one training view to another.

A path leaves the start view for its nearest point on an ellipse around the capture's
focus, follows the ellipse to the point nearest to the end view, and goes on to that.
Its first and last camera are the two training views, to the bit; its steps are equally
long, its corners rounded. The view turns from the start view's to one that looks at the
focus over the first third, and into the end view's over the last.

The ellipse is drawn in the aligned frame (alignment.py) from training views alone: its
half axes are the 90th percentiles of the cameras' offsets, its height waves between the
10th and 90th percentiles of theirs. Rounds differ in radius, height, pitch and pairs.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, Key
from aw_jax.core.errors import UserError
from aw_jax.core.pytrees import replace
from aw_jax.geometry.alignment import AlignedFrame, aligned_frame, rigid_parts
from aw_jax.geometry.cameras import Cameras
from aw_jax.geometry.paths import DENSE, equal_steps, rounded, with_ends
from aw_jax.geometry.rotations import (
    frame_of,
    matrix_from_quat,
    quat_from_matrix,
    slerp,
)

TURN = 2 * np.pi
UP = np.array([0.0, 0.0, 1.0])


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrajectoryConfig:
    """The ellipse, and how paths join it; steps are per round."""

    radius: float = 1.0
    """Factor on the half axes in round 0."""
    radius_step: float = 0.1
    height: float = 1.5
    """Factor on the height band in round 0."""
    height_step: float = -0.2
    height_floor: float = 0.5
    pitch_step: float = 2.0
    """Degrees by which the path looks down further."""
    roundness: float = 0.6
    """Least ratio of the half axes: few views do not make a needle of the ellipse."""
    connection: float = 1 / 3
    """Share of the path over which the view turns from or into a training view's."""
    smoothing: float = 0.05
    """Deviation of the rounding of corners, as a share of the path."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trajectory:
    """A path and the training views at its ends."""

    start: int
    end: int
    cameras: Cameras


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Ellipse:
    """The closed curve of one round, in the aligned frame."""

    half_axes: tuple[float, float]
    middle: float
    swing: float
    phase: float

    def __call__(self, angle: Float[np.ndarray, " p"]) -> Float[np.ndarray, "p 3"]:
        a, b = self.half_axes
        height = self.middle + self.swing * np.cos(angle + TURN * self.phase)
        return np.stack([a * np.cos(angle), b * np.sin(angle), height], axis=-1)

    def nearest(self, point: Float[np.ndarray, "3"]) -> float:
        """The angle of the point nearest to `point`, by two searches."""
        center, width = 0.0, np.pi
        for _ in range(4):
            angles = center + width * np.linspace(-1, 1, 181)
            gaps = np.linalg.norm(self(angles) - point, axis=-1)
            center, width = float(angles[gaps.argmin()]), width / 60
        return center


def reference_trajectory(
    training: Cameras,
    *,
    start: int,
    end: int,
    frames: int,
    round: int = 0,
    phase: float = 0.0,
    config: TrajectoryConfig = TrajectoryConfig(),
) -> Cameras:
    """The path of `frames` cameras from training view `start` to `end`.

    Args:
        training: (v,) cameras; the path's image size and lenses are theirs.
        start: View at the first frame.
        end: View at the last.
        frames: 8 n + 1 of them.
        round: Of generation, from 0; later ones swing wider.
        phase: Of the ellipse's height, in turns.
        config: The shape of the path.
    """
    if frames < 3 or start == end:
        raise UserError(
            f"trajectory: expected two views and at least 3 frames, got views {start} "
            f"and {end} and {frames} frames."
        )
    frame = aligned_frame(training)
    rotations, centers = rigid_parts(training)
    rotations, centers = frame.rotations(rotations), frame.points(centers)
    ellipse = _ellipse(centers, round=round, phase=phase, config=config)
    eyes = _positions(ellipse, centers[start], centers[end], frames, config)
    pitch = np.radians(config.pitch_step * round)
    turned = _views(frame, eyes, rotations[start], rotations[end], pitch, config)
    share = jnp.linspace(0, 1, frames)[:, None, None]
    first, last = training.intrinsics[start], training.intrinsics[end]
    path = replace(
        training,
        camera_from_world=jnp.asarray(frame.poses(turned, eyes), jnp.float32),
        intrinsics=first + share * (last - first),
    )
    return with_ends(path, training[start], training[end])


def reference_trajectories(
    training: Cameras,
    *,
    count: int,
    frames: int,
    round: int,
    key: Key[Array, ""],
    config: TrajectoryConfig = TrajectoryConfig(),
) -> list[Trajectory]:
    """`count` paths that together pass all training views, if there are enough."""
    phases = np.asarray(jax.random.uniform(key, (count,)))
    found = []
    for (start, end), phase in zip(
        pairs(training, count=count, round=round), phases, strict=True
    ):
        cameras = reference_trajectory(
            training,
            start=start,
            end=end,
            frames=frames,
            round=round,
            phase=float(phase),
            config=config,
        )
        found.append(Trajectory(start=start, end=end, cameras=cameras))
    return found


def pairs(training: Cameras, *, count: int, round: int = 0) -> list[tuple[int, int]]:
    """Start and end views of `count` paths; the two always differ.

    Views are put into the order of a walk from neighbour to neighbour. Round 0 joins
    neighbours, round 1 views two apart, and so on in turn; odd rounds walk backwards.
    Pairs are spread evenly over the walk. When there are too few, those of other
    distances follow, then all of them the other way round.
    """
    walk = _walk(training)
    if len(walk) < 2:
        raise UserError(
            f"trajectory: expected at least 2 training views, got {len(walk)}."
        )
    if round % 2:
        walk = walk[::-1]
    apart = len(walk) - 1
    strides = [(round + i) % apart + 1 for i in range(apart)]
    found: list[tuple[int, int]] = []
    for stride in strides:
        near = list(zip(walk, walk[stride:], strict=False))
        room = min(count - len(found), len(near))
        places = np.linspace(0, len(near) - 1, room) if room > 1 else np.zeros(room)
        found += [near[int(i + 0.5)] for i in places]
    back = [(end, start) for start, end in found]
    return [(found + back)[i % (2 * len(found))] for i in range(count)]


def orbit(
    training: Cameras,
    frames: int,
    *,
    config: TrajectoryConfig = TrajectoryConfig(),
) -> Cameras:
    """One closed turn of the ellipse, looking at the focus; no frame is there twice."""
    frame = aligned_frame(training)
    _, centers = rigid_parts(training)
    ellipse = _ellipse(frame.points(centers), round=0, phase=0.0, config=config)
    dense = ellipse(np.linspace(0, TURN, 4 * DENSE))
    eyes = equal_steps(dense, frames + 1)[:-1]
    forward = -eyes if frame.inward else eyes * np.array([1, 1, 0])
    turned = frame_of(forward, np.broadcast_to(UP, forward.shape))
    poses = jnp.asarray(frame.poses(turned, eyes), jnp.float32)
    lens = jnp.broadcast_to(training.intrinsics[0], (frames, 3, 3))
    return replace(training, camera_from_world=poses, intrinsics=lens)


def _ellipse(
    centers: Float[np.ndarray, "v 3"],
    *,
    round: int,
    phase: float,
    config: TrajectoryConfig,
) -> _Ellipse:
    """The round's ellipse around the frame's origin."""
    a, b = np.percentile(np.abs(centers[:, :2]), 90, axis=0)
    least = config.roundness * max(a, b)
    grown = config.radius + config.radius_step * round
    low, high = np.percentile(centers[:, 2], [10, 90])
    factor = max(config.height_floor, config.height + config.height_step * round)
    return _Ellipse(
        half_axes=(float(grown * max(a, least)), float(grown * max(b, least))),
        middle=float(low + high) / 2,
        swing=float(factor * (high - low) / 2),
        phase=phase,
    )


def _positions(
    ellipse: _Ellipse,
    start: Float[np.ndarray, "3"],
    end: Float[np.ndarray, "3"],
    frames: int,
    config: TrajectoryConfig,
) -> Float[np.ndarray, "f 3"]:
    """Start view, arc of the ellipse the shorter way, end view, in equal steps."""
    first, last = ellipse.nearest(start), ellipse.nearest(end)
    way = (last - first + np.pi) % TURN - np.pi
    arc = ellipse(first + way * np.linspace(0, 1, DENSE))
    corners = np.concatenate([start[None], arc, end[None]])
    smooth = rounded(equal_steps(corners, DENSE), config.smoothing)
    return equal_steps(smooth, frames)


def _views(
    frame: AlignedFrame,
    eyes: Float[np.ndarray, "f 3"],
    start: Float[np.ndarray, "3 3"],
    end: Float[np.ndarray, "3 3"],
    pitch: float,
    config: TrajectoryConfig,
) -> Float[np.ndarray, "f 3 3"]:
    """Rotations along the path, from the start view's into the end view's."""
    s = np.linspace(0, 1, len(eyes))
    first, last = (np.tile(quat_from_matrix(r), (len(s), 1)) for r in (start, end))
    straight = slerp(first, last, _ease(s))
    steep = np.linalg.norm(eyes[:, :2], axis=-1) < 0.1 * np.linalg.norm(eyes, axis=-1)
    if not frame.inward or steep.any():
        return np.asarray(matrix_from_quat(straight))
    down = np.array(
        [
            [1, 0, 0],
            [0, np.cos(pitch), -np.sin(pitch)],
            [0, np.sin(pitch), np.cos(pitch)],
        ]
    )
    looking = down @ frame_of(-eyes, np.broadcast_to(UP, eyes.shape))
    path = slerp(first, quat_from_matrix(looking), _ease(s / config.connection))
    path = slerp(path, last, _ease(1 - (1 - s) / config.connection))
    return np.asarray(matrix_from_quat(path))


def _ease(x: Float[np.ndarray, " f"]) -> Float[np.ndarray, " f"]:
    """0 below 0, 1 above 1, with level ends between."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _walk(training: Cameras) -> list[int]:
    """All views, each followed by the nearest not yet visited.

    Nearness is distance over the capture's scale plus half of one minus the cosine of
    the viewing directions. The walk starts at the view that is farthest from the rest.
    """
    rotations, centers = rigid_parts(training)
    places = aligned_frame(training).points(centers)
    gaps = np.linalg.norm(places[:, None] - places[None], axis=-1)
    gaps = gaps + 0.5 * (1 - rotations[:, 2] @ rotations[:, 2].T)
    walk = [int(gaps.sum(axis=1).argmax())]
    while len(walk) < len(gaps):
        ahead = gaps[walk[-1]].copy()
        ahead[walk] = np.inf
        walk.append(int(ahead.argmin()))
    return walk
