"""Triangulated points kept in a file, so that many fits match their photos once."""

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aw_jax.core import atomic
from aw_jax.core.arrays import Float
from aw_jax.core.errors import UserError
from aw_jax.data.triangulation import TriangulationConfig, triangulate
from aw_jax.data.views import View

Points = tuple[Float[np.ndarray, "p 3"], Float[np.ndarray, "p 3"]]


def triangulated(
    views: Sequence[View], config: TriangulationConfig, file: Path
) -> Points:
    """As `triangulate`; the points are read from `file`, and first put there.

    Raises:
        UserError: the file is of other photos, masks, cameras or settings.
    """
    source = made_from(views, config)
    if not file.exists():
        positions, colors = triangulate(views, config)
        with atomic.replacing(file) as aside:
            np.savez(aside, points=positions, colors=colors, made_from=source)
    points, told = _read(file)
    if told != source:
        raise UserError(
            f"{file}: expected points of this run's training photos, masks, cameras and"
            " settings of triangulation, got those of others: remove it, or name"
            " another file."
        )
    return points


def made_from(views: Sequence[View], config: TriangulationConfig) -> str:
    """A digest of all that `triangulate` reads."""
    digest = hashlib.sha256(repr(config).encode())
    for view in views:
        shape = (view.width, view.height, view.distortion)
        numbers = (view.camera_from_world.tolist(), view.intrinsics.tolist())
        digest.update(repr((shape, numbers)).encode())
        for path in (view.image_path, view.mask_path):
            content = b"" if path is None else path.read_bytes()
            digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _read(file: Path) -> tuple[Points, str]:
    """What the file holds, and what that was made from."""
    try:
        with np.load(file) as stored:
            return (stored["points"], stored["colors"]), str(stored["made_from"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{file}: expected points kept by an earlier fit, got another file"
            f" ({error}): remove it, or name another one."
        ) from error
