"""Points on surfaces that some views see, as structure from motion finds them."""

import dataclasses

import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.geometry.cameras import Cameras


@dataclasses.dataclass(frozen=True, kw_only=True)
class SurfacePointsConfig:
    """How good and how many the points are."""

    count: int = 1500
    """At most; over all views."""
    noise: float = 0.01
    """Deviation of a point along its ray, as a share of its depth."""
    outliers: float = 0.02
    """Share of points with a depth of between half and 1.5 times the true one."""
    corners: float = 1.0
    """How much points prefer texture: 0 anywhere, 1 in proportion to the gradient."""


def surface_points(
    images: Float[np.ndarray, "v h w 3"],
    depths: Float[np.ndarray, "v h w"],
    cameras: Cameras,
    config: SurfacePointsConfig,
    *,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "p 3"], Float[np.ndarray, "p 3"]]:
    """Positions (world) and colors of noisy points behind pixels of the views.

    Detectors find points where the image varies, so pixels are drawn by the size of
    their gradient; depths err in proportion to themselves, and a few are plainly wrong.
    """
    seen = np.isfinite(depths) & (depths < 1e6)
    weights = (_gradient(images) ** config.corners) * seen
    total = float(weights.sum())
    if total <= 0:
        return np.zeros((0, 3)), np.zeros((0, 3))
    count = min(config.count, int((weights > 0).sum()))
    flat = rng.choice(weights.size, count, replace=False, p=weights.ravel() / total)
    view, y, x = np.unravel_index(flat, depths.shape)
    depth = depths[view, y, x].astype(float)
    depth = depth * (1 + config.noise * rng.normal(size=count))
    wrong = rng.uniform(size=count) < config.outliers
    depth = np.where(wrong, depth * rng.uniform(0.5, 1.5, size=count), depth)
    points = _unproject(cameras, view, np.stack([x, y], axis=-1) + 0.5, depth)
    return points, images[view, y, x].astype(float)


def random_points(
    cameras: Cameras,
    median_depth: float,
    count: int,
    *,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "p 3"], Float[np.ndarray, "p 3"]]:
    """Points anywhere in the views' frusta, of random colors; depths log-uniform."""
    view = rng.integers(0, len(cameras.intrinsics), size=count)
    pixels = rng.uniform(size=(count, 2)) * [cameras.width, cameras.height]
    depth = median_depth * np.exp(rng.uniform(np.log(0.4), np.log(2.5), size=count))
    return _unproject(cameras, view, pixels, depth), rng.uniform(size=(count, 3))


def _gradient(images: Float[np.ndarray, "v h w 3"]) -> Float[np.ndarray, "v h w"]:
    """How much each pixel differs from its neighbours, with a small floor."""
    grey = images.mean(axis=-1)
    dy, dx = np.gradient(grey, axis=(1, 2))
    return np.hypot(dx, dy) + 0.005


def _unproject(
    cameras: Cameras,
    view: np.ndarray,
    pixels: Float[np.ndarray, "p 2"],
    depth: Float[np.ndarray, " p"],
) -> Float[np.ndarray, "p 3"]:
    """World points at z-depths behind pixel positions of the given views."""
    k = np.linalg.inv(np.asarray(cameras.intrinsics, float))[view]
    world = np.linalg.inv(np.asarray(cameras.camera_from_world, float))[view]
    homogeneous = np.append(pixels, np.ones((len(pixels), 1)), axis=1)
    local = np.einsum("pij,pj->pi", k, homogeneous) * depth[:, None]
    return np.einsum("pij,pj->pi", world[:, :3, :3], local) + world[:, :3, 3]
