"""The first Gaussians of a fit, from a cloud of colored points."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import KDTree

from aw_jax.core import keys
from aw_jax.core.arrays import Array, Float, Key
from aw_jax.geometry.cameras import Cameras, centers
from aw_jax.splat import harmonics
from aw_jax.splat.gaussians import DEAD_LOGIT, Splat, concatenate

NEIGHBOURS = 3
CLOSEST = 1e-4
"""The least distance between points, of the scene's scale: doubles have a size too."""
MARGIN = 1.1


def scene_scale(cameras: Cameras) -> float:
    """1.1 times the farthest camera's distance from the mean one (world units).

    1 where all cameras share one place.
    """
    places = np.asarray(centers(cameras), np.float64).reshape(-1, 3)
    farthest = np.linalg.norm(places - places.mean(0), axis=-1).max()
    return float(MARGIN * farthest) if farthest > 0 else 1.0


def from_points(
    points: Float[Array | np.ndarray, "p 3"],
    colors: Float[Array | np.ndarray, "p 3"],
    *,
    scene_scale: float,
    key: Key[Array, ""],
    degree: int = 3,
    opacity: float = 0.1,
    size: float = 1.0,
) -> Splat:
    """One round Gaussian per point, as large as its neighbours are far.

    `points` in world units, `colors` in [0, 1]. The standard deviation is `size` times
    the root mean square distance to the three nearest points; the rotation is uniformly
    random.
    """
    count = len(points)
    spacing = np.maximum(_spacing(np.asarray(points)), CLOSEST * scene_scale)
    spacing = size * spacing
    rest = jnp.zeros((count, (degree + 1) ** 2 - 1, 3))
    constant = harmonics.sh_from_rgb(jnp.asarray(colors, jnp.float32))[:, None]
    return Splat(
        means=jnp.asarray(points, jnp.float32),
        log_scales=jnp.tile(jnp.log(jnp.asarray(spacing, jnp.float32))[:, None], 3),
        quats=jax.random.normal(keys.named(key, "quats"), (count, 4)),
        logit_opacities=jnp.full(count, jax.scipy.special.logit(opacity)),
        sh=jnp.concatenate([constant, rest], axis=1),
    )


def padded(splat: Splat, capacity: int) -> Splat:
    """`splat` followed by dead rows up to `capacity`."""
    missing = capacity - len(splat.means)
    dead = Splat(
        means=jnp.zeros((missing, 3)),
        log_scales=jnp.zeros((missing, 3)),
        quats=jnp.zeros((missing, 4)).at[:, 0].set(1),
        logit_opacities=jnp.full(missing, DEAD_LOGIT),
        sh=jnp.zeros((missing, *splat.sh.shape[1:])),
    )
    return concatenate([splat, dead])


def _spacing(points: Float[np.ndarray, "p 3"]) -> Float[np.ndarray, " p"]:
    """Root mean square distance to the nearest other points, fewer if there are few."""
    others = min(NEIGHBOURS, len(points) - 1)
    if others < 1:
        return np.zeros(len(points))
    distances, _ = KDTree(points).query(points, k=others + 1)
    return np.sqrt(np.mean(distances[:, 1:] ** 2, axis=1))
