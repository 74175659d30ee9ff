"""From 3D Gaussians to ellipses on the screen (EWA splatting).

A Gaussian with covariance S = (R diag s)(R diag s)^T, seen by a camera with rotation W
and local Jacobian J of the perspective map, becomes one with covariance

    S' = B B^T + low_pass I,   B = J W R diag(s)   (2 x 3),

whose inverse, the conic (A, B, C), is what compositing evaluates. All is written by
components over arrays of shape (views, Gaussians), so that the compiler makes one loop
of it; plain autodiff gives the gradients, those of poses and intrinsics too.

J is taken at a point clamped to 15 % of the image beyond its border, as in gsplat; the
centre itself is projected as it is.
"""

import jax
import jax.numpy as jnp

from aw_jax.core import numerics
from aw_jax.core.arrays import Array, Bool, Float, Int
from aw_jax.core.pytrees import pytree
from aw_jax.geometry.cameras import Cameras, centers
from aw_jax.splat import harmonics
from aw_jax.splat.gaussians import Splat, sh_degree
from aw_jax.splat.settings import RenderSettings

ALPHA_MIN = 1 / 255
"""Splats below this alpha are not drawn at a pixel."""
DET_FLOOR = 1e-10
DIM_FLOOR = 0.005
"""An antialiased splat keeps at least this share of its opacity."""
BORDER = 0.15

Vector = tuple[Array, Array, Array]


@pytree
class Projected:
    """Gaussians as each view's screen sees them; culled ones have zero extent."""

    means2d: Float[Array, "v g 2"]
    """Centres in pixels (x, y); the centre of the first pixel is (0.5, 0.5)."""
    conics: Float[Array, "v g 3"]
    """A, B, C of sigma = (A dx^2 + C dy^2) / 2 + B dx dy."""
    opacities: Float[Array, "v g"]
    """In [0, 1]; after the antialiasing factor."""
    depths: Float[Array, "v g"]
    """z in the camera's frame."""
    radii: Float[Array, "v g 2"]
    """Whole-pixel half extents beyond which alpha < 1/255; 0: culled."""


def project(splat: Splat, cameras: Cameras, settings: RenderSettings) -> Projected:
    """Projects every Gaussian into every camera of a flat batch (v,)."""
    local = _to_camera(splat, cameras)
    z = local[2]
    ahead = (z > settings.near) & (z <= settings.far)
    local = (local[0], local[1], jnp.where(ahead, z, 1))
    rows = _screen_factor(splat, cameras, local)
    xx, xy, yy = _dot(rows[0], rows[0]), _dot(*rows), _dot(rows[1], rows[1])
    normal = _cross(*rows)
    sharp = _dot(normal, normal)  # det of B B^T, without cancellation
    low = settings.low_pass
    det = jnp.maximum(sharp + low * (xx + yy) + low * low, DET_FLOOR)
    xx, yy = xx + low, yy + low
    opacities = jax.nn.sigmoid(splat.logit_opacities)[None]
    if settings.antialiased:
        opacities = opacities * jnp.sqrt(jnp.maximum(sharp / det, DIM_FLOOR**2))
    means2d = jnp.stack(_to_pixels(cameras, local), axis=-1)
    opacities = jnp.broadcast_to(opacities, z.shape)
    radii = _extents(opacities, jnp.stack([xx, yy], axis=-1))
    drawn = ahead & _on_screen(means2d, radii, cameras)
    return Projected(
        means2d=means2d,
        conics=jnp.stack([yy / det, -xy / det, xx / det], axis=-1),
        opacities=opacities,
        depths=z,
        radii=jnp.where(drawn[..., None], radii, 0),
    )


def shade(
    splat: Splat,
    cameras: Cameras,
    settings: RenderSettings,
    *,
    count: Int[Array, ""] | None = None,
    native: bool = False,
) -> Float[Array, "v g 3"]:
    """The color of every Gaussian from every camera of a flat batch (v,).

    `count` and `native` are those of `harmonics.colors`.
    """
    stored = sh_degree(splat)
    degree = stored if settings.sh_degree is None else min(settings.sh_degree, stored)
    eyes = jnp.moveaxis(centers(cameras)[:, None], -1, 0)
    sight = splat.means.T[:, None] - eyes
    # One split: XLA fuses its own harmonics badly with a sum of padded gradients.
    split = numerics.components(jnp.moveaxis(sight, 0, -1))
    x, y, z = numerics.unit_components(tuple(sight) if native else split)
    return harmonics.colors(
        splat.sh, (x, y, z), degree=degree, count=count, native=native
    )


def _to_camera(splat: Splat, cameras: Cameras) -> Vector:
    pose = cameras.camera_from_world[..., None]
    x, y, z = splat.means.T
    rows = [
        pose[:, i, 0] * x + pose[:, i, 1] * y + pose[:, i, 2] * z + pose[:, i, 3]
        for i in range(3)
    ]
    return rows[0], rows[1], rows[2]


def _to_pixels(cameras: Cameras, local: Vector) -> tuple[Array, Array]:
    k = cameras.intrinsics[..., None]
    x, y, z = local
    u = (k[:, 0, 0] * x + k[:, 0, 1] * y) / z + k[:, 0, 2]
    v = (k[:, 1, 0] * x + k[:, 1, 1] * y) / z + k[:, 1, 2]
    return u, v


def _screen_factor(
    splat: Splat, cameras: Cameras, local: Vector
) -> tuple[Vector, Vector]:
    """The two rows of B = J W R diag(s)."""
    k, pose = cameras.intrinsics[..., None], cameras.camera_from_world[..., None]
    x, y, z = local
    fx, fy = k[:, 0, 0], k[:, 1, 1]
    tan_x = _clamped(x / z, k[:, 0, 2], fx, cameras.width)
    tan_y = _clamped(y / z, k[:, 1, 2], fy, cameras.height)
    columns = _axes(splat)

    def row(focal: Array, tan: Array, i: int) -> Vector:
        seen = [focal / z * (pose[:, i, j] - tan * pose[:, 2, j]) for j in range(3)]
        a, b, c = (_dot((seen[0], seen[1], seen[2]), axis) for axis in columns)
        return a, b, c

    return row(fx, tan_x, 0), row(fy, tan_y, 1)


def _clamped(
    tan: Float[Array, "v g"],
    center: Float[Array, "v 1"],
    focal: Float[Array, "v 1"],
    size: int,
) -> Float[Array, "v g"]:
    """X / z kept within the image and a border of it."""
    margin = BORDER * size / focal
    return jnp.clip(tan, -center / focal - margin, (size - center) / focal + margin)


def _axes(splat: Splat) -> tuple[Vector, Vector, Vector]:
    """The columns of R diag(s): the Gaussian's axes as world vectors."""
    w, x, y, z = numerics.unit(splat.quats).T
    a, b, c = jnp.exp(splat.log_scales).T
    return (
        (
            a * (1 - 2 * (y * y + z * z)),
            a * (2 * (x * y + w * z)),
            a * (2 * (x * z - w * y)),
        ),
        (
            b * (2 * (x * y - w * z)),
            b * (1 - 2 * (x * x + z * z)),
            b * (2 * (y * z + w * x)),
        ),
        (
            c * (2 * (x * z + w * y)),
            c * (2 * (y * z - w * x)),
            c * (1 - 2 * (x * x + y * y)),
        ),
    )


def _extents(
    opacities: Float[Array, "v g"], variances: Float[Array, "v g 2"]
) -> Float[Array, "v g 2"]:
    """Half extents of the region where alpha >= 1/255, up to whole pixels."""
    opacities, variances = jax.lax.stop_gradient((opacities, variances))
    reach = jnp.sqrt(2 * jnp.log(jnp.maximum(opacities / ALPHA_MIN, 1)))
    return jnp.ceil(reach[..., None] * jnp.sqrt(variances))


def _on_screen(
    means2d: Float[Array, "v g 2"], radii: Float[Array, "v g 2"], cameras: Cameras
) -> Bool[Array, "v g"]:
    size = jnp.asarray([cameras.width, cameras.height], means2d.dtype)
    inside = (means2d + radii > 0) & (means2d - radii < size) & (radii > 0)
    return jnp.all(inside, axis=-1)


def _dot(a: Vector, b: Vector) -> Array:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Vector, b: Vector) -> Vector:
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )
