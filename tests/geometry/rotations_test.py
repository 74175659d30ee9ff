"""Rotations agree with each other, on the host and on the device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.geometry.rotations import (
    look_at,
    matrix_from_quat,
    quat_from_matrix,
    rotation_angle,
    slerp,
)


def _quats(count, seed=0):
    q = np.random.default_rng(seed).normal(size=(count, 4))
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def _look(eye, target, up):
    return np.asarray(look_at(eye, target, up))


def test_matrices_are_rotations():
    r = matrix_from_quat(3.0 * _quats(50))
    np.testing.assert_allclose(r @ r.swapaxes(-1, -2), np.eye(3) + 0 * r, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(r), 1, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_matrix_and_quaternion_are_inverse_on_every_branch(shape):
    corners = [np.eye(4)[i] + 1e-9 for i in range(4)]
    for corner in [*corners, *_quats(20)]:
        q = np.broadcast_to(corner / np.linalg.norm(corner), (*shape, 4))
        back = quat_from_matrix(matrix_from_quat(q))
        same = np.abs(np.sum(back * q, axis=-1))
        np.testing.assert_allclose(same, 1, atol=1e-12)
        assert (back[..., 0] >= 0).all()


def test_product_of_quaternion_rotations_is_composition():
    quarter = np.array([np.sqrt(0.5), 0, 0, np.sqrt(0.5)])
    np.testing.assert_allclose(
        np.asarray(matrix_from_quat(quarter)) @ [1, 0, 0], [0, 1, 0], atol=1e-12
    )


def test_slerp_moves_at_constant_speed_along_the_shorter_arc():
    a, b = _quats(2)
    path = slerp(np.tile(a, (11, 1)), np.tile(-b, (11, 1)), np.linspace(0, 1, 11))
    r = matrix_from_quat(path)
    steps = rotation_angle(r[:-1], r[1:])
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)
    whole = rotation_angle(r[0], r[-1])
    np.testing.assert_allclose(steps.sum(), whole, rtol=1e-9)
    assert whole <= np.pi


def test_slerp_of_equal_quaternions_stays_there():
    a = _quats(1)[0]
    np.testing.assert_allclose(slerp(a, a, 0.3), a, atol=1e-12)


def test_look_at_centres_its_target_with_up_at_the_top():
    eye, target = np.array([1.0, 2.0, 3.0]), np.array([4.0, -1.0, 2.0])
    m = _look(eye, target, np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(m @ [*eye, 1], [0, 0, 0, 1], atol=1e-12)
    seen = m @ [*target, 1]
    np.testing.assert_allclose(seen[:2], 0, atol=1e-12)
    assert seen[2] > 0
    above = m @ np.append(target + np.array([0, 0, 0.1]), 1)
    assert above[1] < 0


def test_device_arrays_give_the_same_and_have_gradients():
    q = _quats(5)
    ours = jax.jit(matrix_from_quat)(jnp.asarray(q, jnp.float32))
    np.testing.assert_allclose(ours, matrix_from_quat(q), atol=1e-6)
    grad = jax.grad(lambda q: matrix_from_quat(q)[..., 0, 1].sum())(
        jnp.asarray(q, jnp.float32)
    )
    assert np.isfinite(grad).all()
