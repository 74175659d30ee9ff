"""What an artifact may know of the scene it breaks, and the draft it works on."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import KDTree

from aw_jax.core.arrays import Array, Float
from aw_jax.core.pytrees import pytree
from aw_jax.geometry.cameras import Cameras
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.initialize import scene_scale
from aw_jax.splat.rasterize import Rendering, render

NEIGHBOURS = 3


@pytree
class Subject:
    """A dense fit, seen along a clip and from the views it was fitted to."""

    splat: Splat
    """The dense fit: what is clean."""
    cameras: Cameras
    """(f,) of the clip."""
    views: Cameras
    """(v,) that the fit was trained on."""
    clean: Rendering
    """Along the clip, colors in [0, 1]."""
    seen: Rendering
    """From the views."""
    weight: Float[Array, " g"]
    """Pixels that each Gaussian fills along the clip: the sum of its shares of them."""
    spacing: Float[Array, " g"]
    """Median distance of each Gaussian's centre to its three nearest (world units)."""
    extent: Float[Array, ""]
    """The scene's scale (`splat.initialize.scene_scale`; world units)."""


@pytree
class Draft:
    """A splat on its way to being broken; every edit takes one and returns one.

    Those of several frames may stand in one, (f,) in front.
    """

    splat: Splat
    touched: Float[Array, "*f g"]
    """1: an edit has changed or added the Gaussian; 0: it is as it was."""
    depth_offsets: Float[Array, "*f g"]
    """Added to z where Gaussians are sorted (`render`; world units)."""


def subject(splat: Splat, cameras: Cameras, views: Cameras) -> Subject:
    """Looks at a dense fit; its dead rows must be gone."""
    return Subject(
        splat=splat,
        cameras=cameras,
        views=views,
        clean=_seen(splat, cameras),
        seen=_seen(splat, views),
        weight=_weight(splat, cameras),
        spacing=jnp.asarray(_spacing(np.asarray(splat.means)), jnp.float32),
        extent=jnp.asarray(scene_scale(views), jnp.float32),
    )


def draft(splat: Splat) -> Draft:
    """A splat that nothing has touched yet."""
    nothing = jnp.zeros(len(splat.means))
    return Draft(splat=splat, touched=nothing, depth_offsets=nothing)


@jax.jit
def _seen(splat: Splat, cameras: Cameras) -> Rendering:
    seen = render(splat, cameras)
    return Rendering(
        color=jnp.clip(seen.color, 0, 1),
        alpha=seen.alpha,
        depth=seen.depth,
        stats=seen.stats,
    )


@jax.jit
def _weight(splat: Splat, cameras: Cameras) -> Float[Array, " g"]:
    """What each tag adds to the sum of `render`'s tagged pixels, linear in tags."""

    def total(tags: Float[Array, " g"]) -> Float[Array, ""]:
        tagged = render(splat, cameras, tagged=tags).tagged
        assert tagged is not None
        return jnp.sum(tagged)

    return jax.grad(total)(jnp.zeros(len(splat.means)))


def _spacing(means: Float[np.ndarray, "g 3"]) -> Float[np.ndarray, " g"]:
    """Median distance to the nearest other centres."""
    others = min(NEIGHBOURS, len(means) - 1)
    if others < 1:
        return np.zeros(len(means))
    distances, _ = KDTree(means).query(means, k=others + 1)
    return np.median(distances[:, 1:], axis=1)
