"""Points of a place from posed photos alone: SIFT, guided matches, COLMAP's tracks.

Poses are trusted and never refined. COLMAP's triangulator joins pairwise matches into
tracks, keeps what reprojects well under a wide enough angle, and adjusts the points; a
track of two photos counts, which matters when there are only three.
"""

import itertools
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pycolmap

from aw_jax.core.arrays import Float
from aw_jax.data.colmap_views import add_view
from aw_jax.data.features import Features, detect
from aw_jax.data.matching import MatchingConfig, match
from aw_jax.data.photos import PhotoSize, load_photo
from aw_jax.data.views import View
from aw_jax.runs.progress import progress

_SEED = 0


@dataclass(frozen=True, kw_only=True)
class TriangulationConfig:
    """How photos become points."""

    max_side: int = 1280
    """Photos are brought to this size first, in pixels."""
    features: int = 8192
    """Most SIFT features of a photo."""
    neighbours: int = 12
    """A photo is matched with so many of the nearest others, at least."""
    matching: MatchingConfig = field(default_factory=MatchingConfig)


def triangulate(
    views: Sequence[View], config: TriangulationConfig
) -> tuple[Float[np.ndarray, "p 3"], Float[np.ndarray, "p 3"]]:
    """World positions and colours in [0, 1], from these views and nothing else.

    The same views give the same points, bit for bit; one view gives none.
    """
    if len(views) < 2:
        return np.empty((0, 3)), np.empty((0, 3))
    features = _features(views, config)
    model = _posed_model(features)
    with tempfile.TemporaryDirectory() as folder, _quiet_colmap():
        database = Path(folder) / "database.db"
        _write_matches(database, model, features, config)
        model = pycolmap.triangulate_points(
            model, database, folder, folder, options=_options(), refine_intrinsics=False
        )
    return _points(model, features)


def _features(
    views: Sequence[View], config: TriangulationConfig
) -> dict[int, Features]:
    """Each view's features, by the id COLMAP will know it by (from 1)."""
    features = {}
    with progress("features", len(views)) as bar, _quiet_colmap():
        for index, view in enumerate(views, start=1):
            photo = load_photo(view, PhotoSize(max_side=config.max_side))
            features[index] = detect(photo, most=config.features)
            bar.update(index)
    return features


def _posed_model(features: dict[int, Features]) -> pycolmap.Reconstruction:
    """Cameras and poses without points: one pinhole camera an image, of the same id."""
    model = pycolmap.Reconstruction()
    for index, found in features.items():
        add_view(
            model,
            index,
            name=f"{index:06d}",
            intrinsics=found.intrinsics,
            camera_from_world=found.camera_from_world,
            size=(found.width, found.height),
            positions=found.positions,
        )
    return model


def _write_matches(
    path: Path,
    model: pycolmap.Reconstruction,
    features: dict[int, Features],
    config: TriangulationConfig,
) -> None:
    """The database COLMAP triangulates from."""
    with pycolmap.Database.open(path) as database:
        for index, found in features.items():
            database.write_camera(model.cameras[index], use_camera_id=True)
            database.write_rig(model.rigs[index], use_rig_id=True)
            database.write_frame(model.frames[index], use_frame_id=True)
            database.write_image(model.images[index], use_image_id=True)
            database.write_keypoints(index, np.float32(found.positions))
        pairs = _pairs(features, config.neighbours)
        with progress("matches", len(pairs)) as bar:
            for done, (a, b) in enumerate(pairs, start=1):
                pairwise = match(features[a], features[b], config.matching)
                geometry = pycolmap.TwoViewGeometry()
                geometry.config = pycolmap.TwoViewGeometryConfiguration.CALIBRATED
                geometry.inlier_matches = pairwise.astype(np.uint32)
                database.write_matches(a, b, geometry.inlier_matches)
                database.write_two_view_geometry(a, b, geometry)
                bar.update(done)


def _pairs(features: dict[int, Features], neighbours: int) -> list[tuple[int, int]]:
    """Pairs (a < b) of which one is among the other's nearest by camera centre."""
    poses = [found.camera_from_world for found in features.values()]
    centers = np.stack([np.linalg.inv(pose)[:3, 3] for pose in poses])
    distance = np.linalg.norm(centers[:, None] - centers, axis=-1)
    rank = np.argsort(np.argsort(distance, axis=-1, kind="stable"), axis=-1)
    near = np.minimum(rank, rank.T) <= neighbours
    ids = range(len(features))
    return [(a + 1, b + 1) for a, b in itertools.combinations(ids, 2) if near[a, b]]


def _options() -> pycolmap.IncrementalPipelineOptions:
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads, options.random_seed = 1, _SEED
    options.triangulation.random_seed = _SEED
    options.triangulation.ignore_two_view_tracks = False
    options.min_num_matches = 1
    options.extract_colors = False
    return options


def _points(
    model: pycolmap.Reconstruction, features: dict[int, Features]
) -> tuple[Float[np.ndarray, "p 3"], Float[np.ndarray, "p 3"]]:
    """Positions, and the mean colour of each point's features."""
    points = [model.points3D[index] for index in sorted(model.points3D)]
    colors = [
        np.mean(
            [features[e.image_id].colors[e.point2D_idx] for e in point.track.elements],
            axis=0,
        )
        for point in points
    ]
    positions = [point.xyz for point in points]
    return np.reshape(positions, (-1, 3)), np.reshape(colors, (-1, 3))


@contextmanager
def _quiet_colmap() -> Generator[None, None, None]:
    """COLMAP's own log at errors only."""
    level = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = pycolmap.logging.ERROR.value
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = level
