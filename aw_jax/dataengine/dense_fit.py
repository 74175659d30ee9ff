"""The dense fit: the splat that artifact types break, and that labels measure against.

Every photo of a walk goes in, so that the render between photos is close to the truth:
a PSNR of 24 dB at least (`fidelity`) is asked of a scene that is to be broken.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, Key
from aw_jax.core.keys import named
from aw_jax.core.pytrees import pytree
from aw_jax.data.procedural.captures import CaptureConfig, capture
from aw_jax.data.procedural.rendering import render as trace
from aw_jax.data.procedural.surface_points import SurfacePointsConfig, surface_points
from aw_jax.data.procedural.worlds import ProceduralWorld
from aw_jax.geometry.cameras import Cameras
from aw_jax.splat import fit
from aw_jax.splat.fit_config import FitConfig, McmcConfig
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.initialize import scene_scale
from aw_jax.splat.rasterize import render
from aw_jax.splat.targets import Targets


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenseFitConfig:
    """How many photos, and how long."""

    views: int = 28
    """Photos of a procedural walk."""
    sweep: tuple[float, float] = (0.8, 1.6)
    """Radians of the walk around the focus."""
    points: SurfacePointsConfig = SurfacePointsConfig(count=6000, outliers=0.0)
    fit: FitConfig = FitConfig(
        steps=1000, capacity=8000, sh_degree=2, densify=McmcConfig()
    )
    """By a Markov chain, which ends with `capacity` Gaussians in every scene: what
    breaks a splat is then compiled once."""

    def __post_init__(self) -> None:
        if self.views < 2:
            raise ValueError(
                f"DenseFitConfig.views must be 2 or more, got {self.views}."
            )
        if self.points.count > self.fit.capacity:
            raise ValueError(
                "DenseFitConfig: expected points.count <= fit.capacity, got "
                f"{self.points.count}, {self.fit.capacity}."
            )


@pytree
class DenseCapture:
    """What a dense fit is given."""

    photos: Float[Array, "v h w 3"]
    cameras: Cameras
    """(v,) in the order they were taken."""
    points: Float[Array, "p 3"]
    colors: Float[Array, "p 3"]
    """In [0, 1]."""
    weights: Float[Array, "v h w"] | None = None
    """0 where a photo's pixel does not count; None: all 1."""


def dense_capture(
    world: ProceduralWorld,
    rng: np.random.Generator,
    *,
    size: tuple[int, int],
    config: DenseFitConfig,
    walk: Cameras | None = None,
) -> DenseCapture:
    """A walk through a procedural world, all of it photographed; `size` is (w, h).

    Of a given `walk`, `config.views` cameras are taken, evenly spread.
    """
    if walk is None:
        path = CaptureConfig(
            frames=config.views, width=size[0], height=size[1], sweep=config.sweep
        )
        walk = capture(world, path)
    last = len(walk.intrinsics) - 1
    cameras = walk[
        np.linspace(0, last, min(config.views, last + 1)).round().astype(int)
    ]
    photos, depths = (np.asarray(x) for x in trace(world, cameras))
    points, colors = surface_points(photos, depths, cameras, config.points, rng=rng)
    return DenseCapture(
        photos=jnp.asarray(photos),
        cameras=cameras,
        points=jnp.asarray(points, jnp.float32),
        colors=jnp.asarray(colors, jnp.float32),
    )


def dense_fit(
    photos: Float[Array, "v h w 3"],
    cameras: Cameras,
    points: Float[Array | np.ndarray, "p 3"],
    colors: Float[Array | np.ndarray, "p 3"],
    *,
    config: DenseFitConfig,
    key: Key[Array, ""],
    weights: Float[Array, "v h w"] | None = None,
) -> Splat:
    """The splat of all photos, dead rows removed; `weights` as in `DenseCapture`.

    Raises:
        FitDiverged: the fit left the finite numbers.
        UserError: no points, or more than the fit's capacity.
    """
    state = fit.initial_state(
        points,
        colors,
        scene_scale=scene_scale(cameras),
        config=config.fit,
        key=named(key, "initial"),
        photos=len(photos),
    )
    targets = (Targets(images=photos, cameras=cameras, weights=weights),)
    state = fit.run(
        state,
        targets,
        config=config.fit,
        until=config.fit.steps,
        key=named(key, "fit"),
    )
    return fit.final_splat(state)


def fidelity(
    splat: Splat,
    photos: Float[Array, "v h w 3"],
    cameras: Cameras,
    *,
    weights: Float[Array, "v h w"] | None = None,
) -> float:
    """Mean PSNR of the splat's renders against photos, where they count, in dB."""
    gaps = (np.asarray(_colors(splat, cameras)) - np.asarray(photos)) ** 2
    counted = np.ones(gaps.shape[:-1]) if weights is None else np.asarray(weights)
    error = np.array(
        [
            np.average(gap.mean(axis=-1), weights=part)
            for gap, part in zip(gaps, counted, strict=True)
        ]
    )
    return float(np.mean(-10 * np.log10(np.maximum(error, 1e-10))))


@jax.jit
def _colors(splat: Splat, cameras: Cameras) -> Float[Array, "v h w 3"]:
    return jnp.clip(render(splat, cameras).color, 0, 1)
