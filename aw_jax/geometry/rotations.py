"""Rotations as matrices and wxyz quaternions, and cameras that look at a point.

Every function takes numpy arrays (float64 on the host, for paths) or jax arrays
(traced) and answers in kind.
"""

from types import ModuleType

import numpy as np

from aw_jax.core.arrays import Array, Float

AnyArray = Array | np.ndarray


def matrix_from_quat(q: Float[AnyArray, "*b 4"]) -> Float[AnyArray, "*b 3 3"]:
    """The rotation matrix of a wxyz quaternion of any length but zero."""
    xp = _namespace(q)
    q = _unit(q)
    w, x, y, z = (q[..., i] for i in range(4))
    entries = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return xp.stack([xp.stack(row, axis=-1) for row in entries], axis=-2)


def quat_from_matrix(r: Float[AnyArray, "*b 3 3"]) -> Float[AnyArray, "*b 4"]:
    """The unit wxyz quaternion, w >= 0, of a rotation matrix.

    Of the four classical formulas, each exact where its own component is large, takes
    the one with the largest component.
    """
    xp = _namespace(r)
    x, y, z = (r[..., i, i] for i in range(3))
    a, b, c = (
        r[..., 2, 1] - r[..., 1, 2],
        r[..., 0, 2] - r[..., 2, 0],
        r[..., 1, 0] - r[..., 0, 1],
    )
    d, e, f = (
        r[..., 1, 0] + r[..., 0, 1],
        r[..., 0, 2] + r[..., 2, 0],
        r[..., 2, 1] + r[..., 1, 2],
    )
    rows = [
        [1 + x + y + z, a, b, c],
        [a, 1 + x - y - z, d, e],
        [b, d, 1 - x + y - z, f],
        [c, e, f, 1 - x - y + z],
    ]
    table = xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)
    largest = xp.argmax(
        xp.stack([table[..., i, i] for i in range(4)], axis=-1), axis=-1
    )
    q = _unit(xp.take_along_axis(table, largest[..., None, None], axis=-2)[..., 0, :])
    return xp.where(q[..., :1] < 0, -q, q)


def slerp(
    a: Float[AnyArray, "*b 4"],
    b: Float[AnyArray, "*b 4"],
    weight: Float[AnyArray, "*b"] | float,
) -> Float[AnyArray, "*b 4"]:
    """The unit quaternion at `weight` of the shorter great arc from a to b."""
    xp = _namespace(a)
    a, b = _unit(a), _unit(b)
    cosine = xp.sum(a * b, axis=-1, keepdims=True)
    b = xp.where(cosine < 0, -b, b)
    angle = xp.acos(xp.clip(xp.abs(cosine), 0.0, 1.0))
    weight = xp.asarray(weight, dtype=a.dtype)[..., None]
    near = angle < 1e-4
    sine = xp.sin(xp.where(near, 1.0, angle))
    first = xp.where(near, 1 - weight, xp.sin((1 - weight) * angle) / sine)
    second = xp.where(near, weight, xp.sin(weight * angle) / sine)
    return _unit(first * a + second * b)


def rotation_angle(
    a: Float[AnyArray, "*b 3 3"], b: Float[AnyArray, "*b 3 3"]
) -> Float[AnyArray, "*b"]:
    """The angle in radians of the rotation that takes `a` to `b`.

    From the chord |a - b| = sqrt(8) sin(angle / 2), which keeps its digits near zero.
    """
    xp = _namespace(a)
    chord = xp.sqrt(xp.sum((a - b) ** 2, axis=(-2, -1)))
    return xp.asarray(2 * xp.asin(xp.clip(chord / np.sqrt(8.0), 0.0, 1.0)))


def frame_of(
    forward: Float[AnyArray, "*b 3"], up: Float[AnyArray, "*b 3"]
) -> Float[AnyArray, "*b 3 3"]:
    """`camera_from_world` rotation with rows right, down, forward (OpenCV axes).

    `up` need not be orthogonal to `forward`, only not parallel to it.
    """
    xp = _namespace(forward)
    z = _unit(forward)
    x = _unit(xp.linalg.cross(z, up))
    return xp.stack([x, xp.linalg.cross(z, x), z], axis=-2)


def look_at(
    eye: Float[AnyArray, "*b 3"],
    target: Float[AnyArray, "*b 3"],
    up: Float[AnyArray, "*b 3"],
) -> Float[AnyArray, "*b 4 4"]:
    """`camera_from_world` of a camera at `eye` that sees `target` in its centre."""
    return pose(frame_of(target - eye, up), eye)


def pose(
    rotation: Float[AnyArray, "*b 3 3"], eye: Float[AnyArray, "*b 3"]
) -> Float[AnyArray, "*b 4 4"]:
    """The 4x4 `camera_from_world` of a rotation and a camera centre."""
    xp = _namespace(rotation)
    offset = -xp.sum(rotation * eye[..., None, :], axis=-1)
    top = xp.concat([rotation, offset[..., None]], axis=-1)
    last = xp.asarray([0.0, 0.0, 0.0, 1.0], dtype=rotation.dtype)
    bottom = xp.broadcast_to(last, (*top.shape[:-2], 1, 4))
    return xp.concat([top, bottom], axis=-2)


def _unit(x: Float[AnyArray, "*b d"]) -> Float[AnyArray, "*b d"]:
    """`x` over its length; the square is floored so that zero has a gradient."""
    xp = _namespace(x)
    square = xp.sum(x * x, axis=-1, keepdims=True)
    return x / xp.sqrt(xp.maximum(square, xp.asarray(1e-24, dtype=x.dtype)))


def _namespace(x: AnyArray) -> ModuleType:
    """The module, numpy or jax.numpy, that `x` belongs to."""
    return x.__array_namespace__()
