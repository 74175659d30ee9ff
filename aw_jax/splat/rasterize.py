"""`render`: splats and cameras to images, alpha and depth, differentiable throughout.

Projection and color are plain jax, and autodiff gives their gradients; compositing is
one `custom_vjp` over a backend in `kernels/`. Red, green, blue, z and, if asked for,
tags are blended alike, as features; the background is added behind what they leave.
"""

import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Bool, Float, Int, PyTree
from aw_jax.core.pytrees import pytree, replace
from aw_jax.geometry.cameras import Cameras
from aw_jax.runs.memory import return_pages_after_compiling
from aw_jax.splat import projection
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.kernels import native, pallas, xla
from aw_jax.splat.projection import Projected
from aw_jax.splat.settings import RenderSettings

ALPHA_FLOOR = 1e-10
DEFAULT = RenderSettings()
Backend = Literal["native", "xla", "pallas"]


@pytree
class RenderStats:
    """What a render found out about itself; no gradients."""

    radii: Float[Array, "*v g"]
    """Larger half extent in pixels; 0: not drawn."""
    intersections: Int[Array, "*v"]
    """Pairs of a Gaussian and a tile it touches."""
    overflow: Bool[Array, "*v"]
    """True: some 2^31 pairs, and the farthest Gaussians are missing."""


@pytree
class Rendering:
    """Images of a splat from a batch of cameras."""

    color: Float[Array, "*v h w 3"]
    """Over the background; never clipped above."""
    alpha: Float[Array, "*v h w"]
    """Share of light that the splat stops."""
    depth: Float[Array, "*v h w"]
    """z in the camera's frame, world units; 0 where nothing is seen."""
    stats: RenderStats
    tagged: Float[Array, "*v h w"] | None = None
    """Weighted sum of the Gaussians' tags, the background's being 0."""


class PerView(NamedTuple):
    """What a caller of `render` says of every Gaussian in every view."""

    screen_offsets: Float[Array, "v g 2"] | None
    depth_offsets: Float[Array, "v g"] | None
    tags: Float[Array, "v g"] | None


@pytree
class Blended:
    """What a backend returns."""

    features: Float[Array, "v h w c"]
    transmittance: Float[Array, "v h w"]
    intersections: Int[Array, " v"]
    overflow: Bool[Array, " v"]


def render(
    splat: Splat,
    cameras: Cameras,
    *,
    settings: RenderSettings = DEFAULT,
    background: Float[Array, " 3"] | None = None,
    screen_offsets: Float[Array, "*v g 2"] | None = None,
    depth_offsets: Float[Array, "*v g"] | Float[Array, " g"] | None = None,
    tagged: Float[Array, "*v g"] | Float[Array, " g"] | None = None,
    harmonics: Int[Array, ""] | None = None,
) -> Rendering:
    """Renders `splat` from every camera of any batch.

    Gradients reach the splat, the poses and intrinsics of the cameras, `background`
    (black if None) and `tagged`. `screen_offsets` (pixels) move the projected means;
    pass zeros, and their cotangent is dL/dmean on the screen, which densification
    thresholds. `depth_offsets` (world units) are added to z where Gaussians are sorted
    and nowhere else: they blend in a wrong order, as in popping. `tagged` (0 to 1; in
    one view or in all) asks how much of each pixel comes of tagged Gaussians. Only the
    first `harmonics` coefficients of color are used (a number that may be traced).

    From the first call on, what a long compile has freed is handed back to the kernel.
    """
    return_pages_after_compiling()
    batch = cameras.intrinsics.shape[:-2]
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[-2:]), cameras)
    if screen_offsets is not None:
        screen_offsets = screen_offsets.reshape(-1, *screen_offsets.shape[-2:])
    per_view = PerView(
        screen_offsets, _in_each(depth_offsets, batch), _in_each(tagged, batch)
    )
    projected, features = _prepare(splat, flat, per_view, harmonics, settings)
    screen = (cameras.width, cameras.height)
    blended = composite(settings, screen, projected, features)
    radii = jnp.max(projected.radii, axis=-1)
    rendering = _finish(blended, radii, background, settings)
    return jax.tree.map(lambda x: x.reshape(*batch, *x.shape[1:]), rendering)


def _in_each(
    values: Float[Array, "*v g"] | None, batch: tuple[int, ...]
) -> Float[Array, "v g"] | None:
    """One row for each view of the batch, which may share one."""
    if values is None:
        return None
    count = values.shape[-1]
    return jnp.broadcast_to(values, (*batch, count)).reshape(-1, count)


@functools.partial(jax.jit, static_argnames="settings")
def _prepare(
    splat: Splat,
    cameras: Cameras,
    per_view: PerView,
    harmonics: Int[Array, ""] | None,
    settings: RenderSettings,
) -> tuple[Projected, Float[Array, "v g c"]]:
    """What to composite: color, z and tags, sorted by z and its offsets."""
    projected = projection.project(splat, cameras, settings)
    if per_view.screen_offsets is not None:
        means2d = projected.means2d + per_view.screen_offsets
        projected = replace(projected, means2d=means2d)
    by_kernel = _by_kernel(settings, splat)
    color = projection.shade(
        splat, cameras, settings, count=harmonics, native=by_kernel
    )
    features = [color, projected.depths[..., None]]
    if per_view.tags is not None:
        features.append(per_view.tags[..., None])
    if per_view.depth_offsets is not None:
        depths = projected.depths + per_view.depth_offsets
        projected = replace(projected, depths=depths)
    return projected, jnp.concatenate(features, axis=-1)


@functools.partial(jax.jit, static_argnames="settings")
def _finish(
    blended: Blended,
    radii: Float[Array, "v g"],
    background: Float[Array, " 3"] | None,
    settings: RenderSettings,
) -> Rendering:
    color, depth = blended.features[..., :3], blended.features[..., 3]
    alpha = 1 - blended.transmittance
    if background is not None:
        color = color + blended.transmittance[..., None] * background
    if settings.depth == "expected":
        depth = depth / jnp.maximum(alpha, ALPHA_FLOOR)
    stats = RenderStats(
        radii=radii, intersections=blended.intersections, overflow=blended.overflow
    )
    tagged = blended.features[..., 4] if blended.features.shape[-1] > 4 else None
    return Rendering(color=color, alpha=alpha, depth=depth, stats=stats, tagged=tagged)


@functools.partial(jax.jit, static_argnames=("settings", "screen"))
def composite(
    settings: RenderSettings,
    screen: tuple[int, int],
    projected: Projected,
    features: Float[Array, "v g c"],
) -> Blended:
    """Blends `features` front to back onto a `screen` of (width, height) pixels.

    One program, so that XLA leaves out what only the gradient asks for.
    """
    return _composite(settings, screen, projected, features)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _composite(
    settings: RenderSettings,
    screen: tuple[int, int],
    projected: Projected,
    features: Float[Array, "v g c"],
) -> Blended:
    return _composite_fwd(settings, screen, projected, features)[0]


def _composite_fwd(
    settings: RenderSettings,
    screen: tuple[int, int],
    projected: Projected,
    features: Float[Array, "v g c"],
) -> tuple[Blended, PyTree]:
    """Also keeps what the backend has sorted, if it tells."""
    views, gaussians, channels = features.shape
    if gaussians == 0:
        image = (views, screen[1], screen[0])
        blended = Blended(
            features=jnp.zeros((*image, channels), features.dtype),
            transmittance=jnp.ones(image, features.dtype),
            intersections=jnp.zeros(views, jnp.int32),
            overflow=jnp.zeros(views, bool),
        )
        return blended, (projected, features, blended, ())
    forward = _kernel("forward", settings, screen, features.dtype)
    image, light, pairs, overflow, *known = forward(*_inputs(projected, features))
    blended = Blended(
        features=image, transmittance=light, intersections=pairs, overflow=overflow
    )
    return blended, (projected, features, blended, known)


def _composite_bwd(
    settings: RenderSettings,
    screen: tuple[int, int],
    residuals: PyTree,
    cotangent: Blended,
) -> tuple[Projected, Float[Array, "v g c"]]:
    projected, features, blended, known = residuals
    zeros = jax.tree.map(jnp.zeros_like, projected)
    if features.shape[1] == 0:
        return zeros, features
    backward = _kernel("backward", settings, screen, features.dtype)
    d_means2d, d_conics, d_opacities, d_features = backward(
        *_inputs(projected, features),
        blended.features,
        blended.transmittance,
        cotangent.features,
        cotangent.transmittance,
        *known,
    )
    shape = replace(zeros, means2d=d_means2d, conics=d_conics, opacities=d_opacities)
    return shape, d_features


_composite.defvjp(_composite_fwd, _composite_bwd)


def _inputs(projected: Projected, features: Array) -> tuple[Array, ...]:
    """The arguments that both functions of a backend begin with."""
    p = projected
    return p.means2d, p.conics, p.opacities, features, p.depths, p.radii


def _backend(settings: RenderSettings, dtype: jnp.dtype) -> Backend:
    """Auto: the native kernel on a CPU that can have it, which computes in float32.

    On a GPU XLA's, until one has timed Pallas'.
    """
    if settings.backend != "auto":
        return settings.backend
    suits = jax.default_backend() == "cpu" and dtype == jnp.float32
    return "native" if suits and native.available() else "xla"


def _by_kernel(settings: RenderSettings, splat: Splat) -> bool:
    """Whether harmonics are summed by the native kernel as well."""
    single = splat.sh.dtype == splat.means.dtype == jnp.float32
    chosen = _backend(settings, splat.sh.dtype) == "native"
    return single and chosen and native.available()


def _kernel(
    name: Literal["forward", "backward"],
    settings: RenderSettings,
    screen: tuple[int, int],
    dtype: jnp.dtype,
) -> Callable:
    return _foldable(
        name,
        _backend(settings, dtype),
        *screen,
        settings.max_alpha,
        settings.capacity,
    )


@functools.cache
def _foldable(
    name: Literal["forward", "backward"],
    backend: Backend,
    width: int,
    height: int,
    max_alpha: float,
    capacity: int | None,
) -> Callable:
    """A kernel whose `jax.vmap` is one call with more views."""
    module = {"native": native, "xla": xla, "pallas": pallas}[backend]
    kernel = functools.partial(
        getattr(module, name),
        width=width,
        height=height,
        max_alpha=max_alpha,
        capacity=capacity,
    )
    call = jax.custom_batching.custom_vmap(kernel)

    @call.def_vmap
    def fold(size: int, batched: list[PyTree], *args: PyTree) -> tuple:
        full = jax.tree.map(
            lambda b, x: x if b else jnp.broadcast_to(x, (size, *x.shape)),
            batched,
            list(args),
        )
        views = full[0].shape[1]
        flat = jax.tree.map(lambda x: x.reshape(size * views, *x.shape[2:]), full)
        out = call(*flat)
        out = jax.tree.map(lambda x: x.reshape(size, views, *x.shape[1:]), out)
        return out, jax.tree.map(lambda _: True, out)

    return call
