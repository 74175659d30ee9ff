"""The points a fit starts from.

    triangulate  from the training photos and the given poses alone; the default
    filter       points of the capture's own model that a training view sees. Their
                 positions were found with the test photos too: said beside the figure
    random       none

Points at random fill up what is found to a least number. They lie inside the training
views' frusta, at the depths of the points found or, where these are too few, around the
place the cameras look at. What a mask blackens gives no point of any kind.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from aw_jax.core.arrays import Bool, Float
from aw_jax.core.errors import UserError
from aw_jax.data.frusta import sample_frusta
from aw_jax.data.kept_points import Points, triangulated
from aw_jax.data.photos import load_photo
from aw_jax.data.triangulation import TriangulationConfig, triangulate
from aw_jax.data.views import Scene, View


@dataclass(frozen=True, kw_only=True)
class InitialPointsConfig:
    """Where points come from, and how many there are at least."""

    protocol: Literal["triangulate", "filter", "random"] = "triangulate"
    least: int = 5000
    """Points at random are added up to this number."""
    triangulation: TriangulationConfig = field(default_factory=TriangulationConfig)

    def __post_init__(self) -> None:
        """Refuses a start without points."""
        if self.least < 1:
            raise UserError(f"initial_points.least must be positive, got {self.least}.")


@dataclass(frozen=True, kw_only=True, eq=False)
class InitialPoints:
    """Points to start a fit from, those found first."""

    points: Float[np.ndarray, "p 3"]
    """World positions, float32."""
    colors: Float[np.ndarray, "p 3"]
    """In [0, 1], float32; mid-grey for a point at random."""
    protocol: str
    triangulated: int
    """How many were triangulated, here or in the capture's model."""
    added: int
    """How many are random."""


def initial_points(
    scene: Scene,
    train: Sequence[str],
    config: InitialPointsConfig,
    *,
    seed: int,
    kept: Path | None = None,
) -> InitialPoints:
    """Points for a fit to the views named in `train`; no other photo is read.

    Args:
        scene: the capture.
        train: names of its views.
        config: the protocol.
        seed: of the points at random.
        kept: a file that triangulated points are read from, and first put into.

    Raises:
        UserError: `filter` without a model that says which photo sees which point, or
            `kept` holds points of other photos.
    """
    views = scene.named(train)
    if config.protocol == "triangulate" and kept is not None:
        positions, colors = triangulated(views, config.triangulation, kept)
    elif config.protocol == "triangulate":
        positions, colors = triangulate(views, config.triangulation)
    elif config.protocol == "filter":
        positions, colors = _seen_by(scene, train)
    else:
        positions, colors = np.empty((0, 3)), np.empty((0, 3))
    missing = max(0, config.least - len(positions))
    random = sample_frusta(views, missing, around=positions, seed=seed)
    return InitialPoints(
        points=np.concatenate([positions, random]).astype(np.float32),
        colors=np.concatenate([colors, np.full((missing, 3), 0.5)]).astype(np.float32),
        protocol=config.protocol,
        triangulated=len(positions),
        added=missing,
    )


def _seen_by(scene: Scene, train: Iterable[str]) -> Points:
    """The model's points that a training view observes where its mask lets it."""
    if scene.points is None or scene.points.observations is None:
        raise UserError(
            f"{scene.path}: initial_points.protocol=filter needs a COLMAP model with"
            " points3D; use triangulate."
        )
    names, cloud = set(train), scene.points
    point, seen_by = scene.points.observations.T
    seen = [np.empty(0, np.int64)]
    for index, view in enumerate(scene.views):
        if view.name in names:
            mine = point[seen_by == index]
            seen.append(mine[_counts(view, cloud.positions[mine])])
    seen = np.unique(np.concatenate(seen))
    return scene.points.positions[seen], scene.points.colors[seen] / 255


def _counts(
    view: View, points: Float[np.ndarray, "p 3"]
) -> Bool[np.ndarray, " p"] | slice:
    """Which points, all before the camera, fall on pixels that count."""
    if view.mask_path is None:
        return slice(None)
    photo = load_photo(view)
    local = points @ view.camera_from_world[:3, :3].T + view.camera_from_world[:3, 3]
    pixels = local @ photo.intrinsics.T
    pixels = pixels[:, :2] / np.maximum(pixels[:, 2:], 1e-9)
    height, width = photo.known.shape
    at = pixels.clip(0, [width - 1, height - 1]).astype(int)
    return photo.known[at[:, 1], at[:, 0]]
