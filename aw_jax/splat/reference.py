"""The oracle: the same image, computed the long way, to test the fast way against.

One matrix formula per step, every Gaussian at every pixel, no tiles, no bounds, no
hand-written gradient. Memory grows with Gaussians x pixels and time with it; call it
on toy scenes only, in float64 (`with jax.enable_x64():` and float64 inputs).
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Bool, Float
from aw_jax.geometry.cameras import Cameras
from aw_jax.splat.gaussians import Splat, sh_degree
from aw_jax.splat.settings import RenderSettings

Images = tuple[
    Float[Array, "h w 3"],
    Float[Array, "h w"],
    Float[Array, "h w"],
    Float[Array, "h w"],
]


def render(
    splat: Splat,
    camera: Cameras,
    *,
    settings: RenderSettings,
    background: Float[Array, " 3"],
    screen_offsets: Float[Array, "g 2"],
    depth_offsets: Float[Array, " g"],
    tagged: Float[Array, " g"],
) -> Images:
    """Color, alpha, depth and tags from one camera, differentiable in everything."""
    pose, k = camera.camera_from_world, camera.intrinsics
    local = splat.means @ pose[:3, :3].T + pose[:3, 3]
    z = local[:, 2]
    drawn = (z > settings.near) & (z <= settings.far)
    local = jnp.where(drawn[:, None], local, 1.0)
    means2d = (local @ k.T)[:, :2] / local[:, 2:] + screen_offsets
    sharp = _screen_covariances(splat, camera, local)
    wide = sharp + settings.low_pass * jnp.eye(2)
    opacities = 1 / (1 + jnp.exp(-splat.logit_opacities))
    if settings.antialiased:
        ratio = jnp.linalg.det(sharp) / jnp.linalg.det(wide)
        opacities = opacities * jnp.sqrt(jnp.clip(ratio, 0.005**2))
    raw = _raw_alphas(means2d, jnp.linalg.inv(wide), opacities, camera)
    raw = jnp.where(drawn[:, None, None], raw, 0)
    color = _colors(splat, pose, settings)
    features = jnp.concatenate([color, z[:, None], tagged[:, None]], axis=1)
    order = jnp.argsort(z + depth_offsets, stable=True)
    return _blend(raw, features, order, settings, background)


def _screen_covariances(
    splat: Splat, camera: Cameras, local: Float[Array, "g 3"]
) -> Float[Array, "g 2 2"]:
    """J W S W^T J^T, before the low-pass filter."""
    quats = splat.quats / jnp.linalg.norm(splat.quats, axis=1, keepdims=True)
    turn = jax.vmap(_rotation)(quats)
    stretch = jax.vmap(jnp.diag)(jnp.exp(2 * splat.log_scales))
    world = turn @ stretch @ turn.transpose(0, 2, 1)
    rotation = camera.camera_from_world[:3, :3]
    jacobian = jax.vmap(lambda p: _jacobian(p, camera))(local)
    to_screen = jacobian @ rotation
    return to_screen @ world @ to_screen.transpose(0, 2, 1)


def _rotation(quat: Float[Array, " 4"]) -> Float[Array, "3 3"]:
    """The rotation v -> q v q*, one basis vector at a time."""
    w, axis = quat[0], quat[1:]

    def rotate(v: Float[Array, " 3"]) -> Float[Array, " 3"]:
        across = jnp.cross(axis, v)
        return v + 2 * w * across + 2 * jnp.cross(axis, across)

    return jax.vmap(rotate)(jnp.eye(3)).T


def _jacobian(point: Float[Array, " 3"], camera: Cameras) -> Float[Array, "2 3"]:
    """Of the perspective map, at a point kept near the image (as in gsplat)."""
    (fx, _, cx), (_, fy, cy) = camera.intrinsics[0], camera.intrinsics[1]
    x, y, z = point
    w, h = camera.width, camera.height
    x = z * jnp.clip(x / z, -(cx + 0.15 * w) / fx, (w - cx + 0.15 * w) / fx)
    y = z * jnp.clip(y / z, -(cy + 0.15 * h) / fy, (h - cy + 0.15 * h) / fy)
    rows = [[fx / z, 0.0, -fx * x / z**2], [0.0, fy / z, -fy * y / z**2]]
    return jnp.stack([jnp.stack([jnp.asarray(e) for e in row]) for row in rows])


def _raw_alphas(
    means2d: Float[Array, "g 2"],
    precisions: Float[Array, "g 2 2"],
    opacities: Float[Array, " g"],
    camera: Cameras,
) -> Float[Array, "g h w"]:
    """Values of o exp(-d^T P d / 2) at every pixel centre."""
    x = jnp.arange(camera.width) + 0.5
    y = jnp.arange(camera.height) + 0.5
    pixels = jnp.stack(jnp.meshgrid(x, y), axis=-1)
    d = means2d[:, None, None] - pixels
    sigma = 0.5 * jnp.einsum("ghwi,gij,ghwj->ghw", d, precisions, d)
    return opacities[:, None, None] * jnp.exp(-sigma)


def _blend(
    raw: Float[Array, "g h w"],
    features: Float[Array, "g 5"],
    order: Array,
    settings: RenderSettings,
    background: Float[Array, " 3"],
) -> Images:
    raw, features = raw[order], features[order]
    alpha = jnp.where(raw >= 1 / 255, jnp.minimum(raw, settings.max_alpha), 0)
    passed = jnp.cumprod(1 - alpha, axis=0)
    before = jnp.concatenate([jnp.ones_like(passed[:1]), passed[:-1]])
    weight = jnp.where(_lit(passed), alpha * before, 0)
    seen = jnp.einsum("ghw,gc->hwc", weight, features)
    total = weight.sum(axis=0)
    color = seen[..., :3] + (1 - total)[..., None] * background
    depth = seen[..., 3]
    if settings.depth == "expected":
        depth = depth / jnp.maximum(total, 1e-10)
    return color, total, depth, seen[..., 4]


def _lit(passed: Float[Array, "g h w"]) -> Bool[Array, "g h w"]:
    """A Gaussian that would leave 1e-4 of the light or less is not blended."""
    return passed > 1e-4


def _colors(
    splat: Splat, pose: Float[Array, "4 4"], settings: RenderSettings
) -> Float[Array, "g 3"]:
    stored = sh_degree(splat)
    degree = stored if settings.sh_degree is None else min(settings.sh_degree, stored)
    offsets = splat.means - jnp.linalg.inv(pose)[:3, 3]
    length = jnp.sqrt(jnp.maximum(jnp.sum(offsets**2, axis=1, keepdims=True), 1e-24))
    basis = jax.vmap(lambda d: _harmonics(d, degree))(offsets / length)
    color = jnp.einsum("gu,guc->gc", basis, splat.sh[:, : basis.shape[1]]) + 0.5
    return jnp.where(color >= 0, color, 0)


def _harmonics(direction: Float[Array, " 3"], degree: int) -> Float[Array, " u"]:
    """Real harmonics by their normalisations, in Inria's order and signs."""
    x, y, z = direction
    pi, sqrt = jnp.pi, jnp.sqrt
    terms = [sqrt(1 / (4 * pi))]
    one = sqrt(3 / (4 * pi))
    terms += [-one * y, one * z, -one * x]
    two = sqrt(15 / pi)
    terms += [
        two / 2 * x * y,
        -two / 2 * y * z,
        sqrt(5 / pi) / 4 * (3 * z**2 - 1),
        -two / 2 * x * z,
        two / 4 * (x**2 - y**2),
    ]
    terms += [
        -sqrt(35 / (2 * pi)) / 4 * y * (3 * x**2 - y**2),
        sqrt(105 / pi) / 2 * x * y * z,
        -sqrt(21 / (2 * pi)) / 4 * y * (5 * z**2 - 1),
        sqrt(7 / pi) / 4 * z * (5 * z**2 - 3),
        -sqrt(21 / (2 * pi)) / 4 * x * (5 * z**2 - 1),
        sqrt(105 / pi) / 4 * z * (x**2 - y**2),
        -sqrt(35 / (2 * pi)) / 4 * x * (x**2 - 3 * y**2),
    ]
    return jnp.stack([jnp.asarray(t) for t in terms[: (degree + 1) ** 2]])
