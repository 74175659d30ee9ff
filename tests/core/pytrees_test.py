import dataclasses

import jax
import jax.numpy as jnp
import pytest

from aw_jax.core.arrays import Array, Float
from aw_jax.core.pytrees import pytree, static
from aw_jax.geometry.cameras import Cameras


@pytree
class Pair:
    left: Float[Array, "b 3"]
    right: Float[Array, " b"]
    size: int = static()


def make():
    return Pair(left=jnp.ones((2, 3)), right=jnp.zeros(2), size=4)


def test_transforms_pass_through():
    doubled = jax.jit(lambda pair: jax.tree.map(lambda x: 2 * x, pair))(make())
    assert doubled.size == 4
    assert float(doubled.left[0, 0]) == 2.0


def test_leaves_may_become_shapes_or_none():
    assert jax.eval_shape(make).left.shape == (2, 3)
    assert jax.tree.map(lambda _: None, make()).left is None


def test_fields_are_frozen_and_paths_are_named():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().size = 5
    paths = [
        jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(make())
    ]
    assert paths == [".left", ".right"]


def test_shapes_are_checked_when_a_caller_builds_one():
    with pytest.raises(Exception, match="intrinsics"):
        Cameras(
            camera_from_world=jnp.zeros((2, 4, 4)),
            intrinsics=jnp.zeros((3, 3, 3)),
            width=4,
            height=4,
        )
