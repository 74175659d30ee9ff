"""The optimisation stage (Sec. 3.2): a splat fitted to too few views, looked at early.

A phone walks past a procedural place; a few far-apart frames become the photos of a
sparse fit. Snapshots of the fit at several numbers of steps give blur and holes early,
and floaters, needles and overfit colors late, all for the price of one fit. Fits differ
in length too: the schedule of a short one is a shrunk schedule.
"""

import dataclasses
import itertools
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, Key
from aw_jax.core.errors import UserError
from aw_jax.core.keys import named
from aw_jax.core.pytrees import pytree, static
from aw_jax.data.procedural.captures import CaptureConfig, capture
from aw_jax.data.procedural.rendering import render
from aw_jax.data.procedural.surface_points import (
    SurfacePointsConfig,
    random_points,
    surface_points,
)
from aw_jax.data.procedural.worlds import ProceduralWorld
from aw_jax.dataengine.moving import with_something_moved
from aw_jax.geometry.cameras import Cameras
from aw_jax.splat import fit
from aw_jax.splat.fit_config import FitConfig
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.initialize import scene_scale
from aw_jax.splat.targets import Targets


@dataclasses.dataclass(frozen=True, kw_only=True)
class SparseFitConfig:
    """How sparse, how long, when looked at.

    Sparse enough for damage as real captures show it where they need repair: the clips
    have a mean PSNR of about 20 dB; a fit of five photos around an object had 18 dB on
    the views between. Denser fits (up to 6 views, 0.2 to 0.9 radians apart) gave clips
    of 23.4 dB, half of which not even a linear map could improve.
    """

    views: tuple[int, int] = (2, 4)
    """Fewest and most training views."""
    gap: tuple[float, float] = (0.4, 1.2)
    """Radians around the focus between neighbouring training views."""
    skip: int | None = None
    """Frames of the walk, or photos of a capture, from one training view to the next;
    the paper's 8 needs (frames - 1) / 8 + 1 views or more. None: a clip of the walk
    leads from one training view to the next (of a capture: 8 photos)."""
    moving: float = 0.0
    """Share of procedural scenes in which something stands elsewhere on some photos."""
    steps: tuple[int, int] = (200, 800)
    """Shortest and longest fit, log-uniform; replaces `fit.steps`."""
    snapshots: tuple[float, ...] = (0.25, 0.55, 1.0)
    """Shares of the fit after which the splat is looked at, increasing."""
    points: SurfacePointsConfig = SurfacePointsConfig()
    surface: tuple[int, int] = (100, 800)
    """Fewest and most surface points; random ones fill up to `start`."""
    start: int = 2000
    """Gaussians at the first step."""
    fit: FitConfig = FitConfig(capacity=4000, sh_degree=2)

    def __post_init__(self) -> None:
        steps = [0.0, *self.snapshots, 1.0 + 1e-9]
        if not self.snapshots or any(a >= b for a, b in itertools.pairwise(steps)):
            raise ValueError(
                "SparseFitConfig.snapshots must rise between 0 and 1, got "
                f"{self.snapshots}."
            )
        if not 1 <= self.steps[0] <= self.steps[1]:
            raise ValueError(
                f"SparseFitConfig.steps must be positive, rising, got {self.steps}."
            )
        if not 2 <= self.views[0] <= self.views[1]:
            raise ValueError(
                f"SparseFitConfig.views must be 2 or more, rising, got {self.views}."
            )
        if self.skip is not None and self.skip < 1:
            raise ValueError(
                f"SparseFitConfig.skip must be positive or none, got {self.skip}."
            )
        if not 0 <= self.moving <= 1:
            raise ValueError(
                f"SparseFitConfig.moving must lie in [0, 1], got {self.moving}."
            )
        if not self.surface[1] <= self.start <= self.fit.capacity:
            raise ValueError(
                "SparseFitConfig: expected surface <= start <= fit.capacity, got "
                f"{self.surface[1]}, {self.start}, {self.fit.capacity}."
            )


@pytree
class SparseCapture:
    """What a sparse fit is given, and the walk it was taken from."""

    walk: Cameras
    """Every frame of the walk; a training view each `skip`."""
    skip: int = static()
    photos: Float[Array, "v h w 3"]
    cameras: Cameras
    """(v,) training views."""
    points: Float[Array, "p 3"]
    colors: Float[Array, "p 3"]
    steps: int = static()
    """Length of the fit."""
    moved: tuple[int, ...] = static(default=())
    """Training views on whose photos something stands elsewhere."""


def sparse_capture(
    world: ProceduralWorld,
    rng: np.random.Generator,
    *,
    frames: int,
    size: tuple[int, int],
    config: SparseFitConfig,
) -> SparseCapture:
    """Draws a walk through the world, its training views and initial points.

    A clip has `frames` frames of the walk, from one training view to another. `size` is
    (width, height).
    """
    skip = skip_of(config, frames)
    count = int(rng.integers(config.views[0], config.views[1] + 1))
    sweep = float(rng.uniform(*config.gap)) * (count - 1)
    path = CaptureConfig(
        frames=skip * (count - 1) + 1,
        width=size[0],
        height=size[1],
        sweep=(sweep, sweep),
    )
    walk = capture(world, path)
    cameras = walk[np.arange(count) * skip]
    photos, depths = (np.asarray(x) for x in render(world, cameras))
    points, colors = _initial(photos, depths, cameras, rng, config)
    photos, moved = with_something_moved(world, photos, cameras, share=config.moving)
    return SparseCapture(
        walk=walk,
        skip=skip,
        moved=moved,
        photos=jnp.asarray(photos),
        cameras=cameras,
        points=jnp.asarray(points, jnp.float32),
        colors=jnp.asarray(colors, jnp.float32),
        steps=log_uniform(rng, config.steps),
    )


def skip_of(config: SparseFitConfig, frames: int) -> int:
    """Frames of the walk between training views.

    Raises:
        UserError: a clip of `frames` frames does not begin and end at training views.
    """
    skip = config.skip or frames - 1
    if (frames - 1) % skip or (frames - 1) // skip >= config.views[0]:
        raise UserError(
            f"sparse.skip={skip}: a clip of {frames} frames must span a whole number "
            f"of skips, fewer than the {config.views[0]} views of sparse.views; set "
            "it to none, or ask for more views."
        )
    return skip


def snapshots(
    seen: SparseCapture, *, config: SparseFitConfig, key: Key[Array, ""]
) -> Iterator[tuple[int, Splat]]:
    """Steps and the splat after each share of the fit, dead rows included.

    Raises:
        FitDiverged: the fit left the finite numbers.
    """
    whole = dataclasses.replace(config.fit, steps=seen.steps)
    state = fit.initial_state(
        seen.points,
        seen.colors,
        scene_scale=scene_scale(seen.cameras),
        config=whole,
        key=named(key, "initial"),
        photos=len(seen.photos),
    )
    targets = (Targets(images=seen.photos, cameras=seen.cameras),)
    for share in config.snapshots:
        until = max(1, round(share * seen.steps))
        state = fit.run(
            state, targets, config=whole, until=until, key=named(key, "fit")
        )
        yield until, state.splat


def _initial(
    photos: Float[np.ndarray, "v h w 3"],
    depths: Float[np.ndarray, "v h w"],
    cameras: Cameras,
    rng: np.random.Generator,
    config: SparseFitConfig,
) -> tuple[Float[np.ndarray, "p 3"], Float[np.ndarray, "p 3"]]:
    """Surface points, fewer or more of them, and random ones for the rest."""
    asked = dataclasses.replace(config.points, count=log_uniform(rng, config.surface))
    real = surface_points(photos, depths, cameras, asked, rng=rng)
    rest = config.start - len(real[0])
    filler = random_points(cameras, float(np.median(depths)), rest, rng=rng)
    points, colors = (np.concatenate(pair) for pair in zip(real, filler, strict=True))
    return points, colors


def log_uniform(rng: np.random.Generator, span: tuple[int, int]) -> int:
    """A whole number whose logarithm is uniform."""
    return round(float(np.exp(rng.uniform(*np.log(span)))))
