"""Lens distortion, and the pinhole image underneath it.

A pinhole camera sends the ray (x, y, 1) to K (x, y, 1); a real lens first moves (x, y)
to another normalised position. With r the length of (x, y):

    perspective  (x, y) (1 + k1 r^2 + k2 r^4 + ...) + the tangential terms of p1 and p2
    fisheye      (x, y) / r * a (1 + k1 a^2 + k2 a^4 + ...),  a = atan(r)

These cover COLMAP's SIMPLE_PINHOLE to OPENCV_FISHEYE and what transforms.json stores.
Far from the axis a fitted polynomial turns back, and one pixel would be seen by two
rays; only the rays before that fold count. All of it is float64 numpy on the host.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from aw_jax.core.arrays import Bool, Float, UInt8
from aw_jax.core.errors import UserError

_LARGEST_COEFFICIENT = 1e6
_NEGLIGIBLE = 1e-12
_NEWTON_STEPS = 30
_SMALLEST_STEP = 1e-12
_CONVERGED = 1e-9
_STRIP = 64


@dataclass(frozen=True, kw_only=True)
class Distortion:
    """What a lens does to normalised image positions; the default does nothing."""

    fisheye: bool = False
    """Radial terms act on the angle to the axis, not on the position."""
    radial: tuple[float, ...] = ()
    """k1, k2, ...: coefficients of the 2nd, 4th, ... power."""
    tangential: tuple[float, float] = (0.0, 0.0)
    """p1, p2 in OpenCV's order; zero for a fisheye."""

    def __post_init__(self) -> None:
        """Refuses coefficients no lens has: later arithmetic must stay finite."""
        for value in (*self.radial, *self.tangential):
            if not abs(value) <= _LARGEST_COEFFICIENT:
                raise UserError(
                    f"distortion coefficient {value} is no number below"
                    f" {_LARGEST_COEFFICIENT:g}: check the camera's parameters."
                )

    @property
    def is_none(self) -> bool:
        """Whether the lens is a plain pinhole."""
        return not self.fisheye and not any((*self.radial, *self.tangential))


def distort(
    rays: Float[np.ndarray, "*b 2"], distortion: Distortion
) -> Float[np.ndarray, "*b 2"]:
    """Where the lens puts the rays (x, y, 1), in normalised positions."""
    if distortion.fisheye:
        radius = np.maximum(_length(rays), 1e-300)
        angle = np.arctan(radius)
        return rays * (angle * _polynomial(distortion, angle**2) / radius)
    square = np.sum(rays**2, axis=-1, keepdims=True)
    return rays * _polynomial(distortion, square) + _tangential(rays, distortion)


def undistort(
    points: Float[np.ndarray, "*b 2"], distortion: Distortion
) -> Float[np.ndarray, "*b 2"]:
    """The rays (x, y, 1) that the lens puts at `points`: the inverse of `distort`.

    Newton's method from the undistorted guess. NaN where no ray before the fold, and in
    front of a fisheye, arrives.
    """
    with np.errstate(all="ignore"):
        rays = _start(points, distortion)
        for _ in range(_NEWTON_STEPS):
            step = _newton_step(rays, points, distortion)
            rays = rays - step
            if not np.any(np.abs(step) > _SMALLEST_STEP):
                break
        missed = _length(distort(rays, distortion) - points)
        found = (missed < _CONVERGED) & (_length(rays) < fold_radius(distortion))
    return np.where(found, rays, np.nan)


def fold_radius(distortion: Distortion) -> float:
    """The length of (x, y) up to which the radial polynomial grows; may be inf."""
    terms = (k if abs(k) > _NEGLIGIBLE else 0.0 for k in (1.0, *distortion.radial))
    slope = [(2 * power + 1) * k for power, k in enumerate(terms)]
    roots = np.roots(np.trim_zeros(slope[::-1], "f"))
    turning = [z.real for z in roots if abs(z.imag) < 1e-12 and z.real > 0]
    furthest = math.sqrt(min(turning, default=math.inf))
    if not distortion.fisheye:
        return furthest
    return math.tan(furthest) if furthest < math.pi / 2 else math.inf


def source_pixels(
    intrinsics: Float[np.ndarray, "3 3"],
    distortion: Distortion,
    *,
    width: int,
    height: int,
) -> tuple[Float[np.ndarray, "h w 2"], Bool[np.ndarray, "h w"]]:
    """For each pixel of the pinhole image, its position (u, v) in the distorted photo.

    Both images have the same intrinsics and size; pixel centres are at +0.5. The second
    value is False where the photo has no pixel for the ray. Positions are float32 and
    found a strip of rows at a time: a photo may be large.
    """
    pixels = np.empty((height, width, 2), np.float32)
    known = np.empty((height, width), bool)
    for top in range(0, height, _STRIP):
        rows = np.arange(top, min(top + _STRIP, height)) + 0.5
        grid = np.stack(np.meshgrid(np.arange(width) + 0.5, rows), axis=-1)
        strip = slice(top, top + _STRIP)
        pixels[strip], known[strip] = _seen_at(
            grid, intrinsics, distortion, size=(width, height)
        )
    return pixels, known


def undistorted(
    photo: UInt8[np.ndarray, "h w *c"] | Float[np.ndarray, "h w *c"],
    pixels: Float[np.ndarray, "h w 2"],
) -> UInt8[np.ndarray, "h w *c"] | Float[np.ndarray, "h w *c"]:
    """The photo resampled (bicubic) at `pixels`, its border repeated outside."""
    at = pixels.astype(np.float32) - np.float32(0.5)
    across, down = np.moveaxis(at, -1, 0)
    return cv2.remap(
        photo, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def _seen_at(
    grid: Float[np.ndarray, "h w 2"],
    intrinsics: Float[np.ndarray, "3 3"],
    distortion: Distortion,
    *,
    size: tuple[int, int],
) -> tuple[Float[np.ndarray, "h w 2"], Bool[np.ndarray, "h w"]]:
    """Positions in the photo for pinhole positions, and whether it has pixels there."""
    focal, centre = np.diag(intrinsics)[:2], intrinsics[:2, 2]
    with np.errstate(all="ignore"):
        rays = (grid - centre) / focal
        pixels = distort(rays, distortion) * focal + centre
        inside = np.all((pixels >= 0) & (pixels <= size), axis=-1)
        before_fold = _length(rays)[..., 0] < fold_radius(distortion)
    outside = np.maximum(size, 1) * 2.0
    return np.nan_to_num(pixels, nan=-1.0).clip(-outside, outside), inside & before_fold


def _length(x: Float[np.ndarray, "*b 2"]) -> Float[np.ndarray, "*b 1"]:
    return np.linalg.norm(x, axis=-1, keepdims=True)


def _polynomial(
    distortion: Distortion, square: Float[np.ndarray, "*b"]
) -> Float[np.ndarray, "*b"]:
    return np.polynomial.polynomial.polyval(square, (1.0, *distortion.radial))


def _tangential(
    rays: Float[np.ndarray, "*b 2"], distortion: Distortion
) -> Float[np.ndarray, "*b 2"]:
    p1, p2 = distortion.tangential
    x, y = rays[..., 0], rays[..., 1]
    square = x**2 + y**2
    across = 2 * p1 * x * y + p2 * (square + 2 * x**2)
    down = p1 * (square + 2 * y**2) + 2 * p2 * x * y
    return np.stack([across, down], axis=-1)


def _start(
    points: Float[np.ndarray, "*b 2"], distortion: Distortion
) -> Float[np.ndarray, "*b 2"]:
    """The points themselves; for a fisheye, its rays without the polynomial."""
    if not distortion.fisheye:
        return points
    angle = np.maximum(_length(points), 1e-300)
    return points * np.tan(np.minimum(angle, 1.5)) / angle


def _newton_step(
    rays: Float[np.ndarray, "*b 2"],
    points: Float[np.ndarray, "*b 2"],
    distortion: Distortion,
) -> Float[np.ndarray, "*b 2"]:
    """The correction to `rays`, its Jacobian taken by central differences."""
    h = 1e-6 * (1 + _length(rays))
    columns = [
        (distort(rays + h * e, distortion) - distort(rays - h * e, distortion))
        / (2 * h)
        for e in np.eye(2)
    ]
    (a, c), (b, d) = (np.moveaxis(column, -1, 0) for column in columns)
    rest_x, rest_y = np.moveaxis(distort(rays, distortion) - points, -1, 0)
    determinant = a * d - b * c
    step = np.stack([d * rest_x - b * rest_y, a * rest_y - c * rest_x], axis=-1)
    return step / determinant[..., None]
