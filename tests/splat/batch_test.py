"""Batches of views, and gradients of several views or cotangents at once.

`rasterize_test.py` holds single views against the oracle.
"""

import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.splat.rasterize import render

SINGLE = runpy.run_path(str(Path(__file__).with_name("rasterize_test.py")))
COUNT, WIDTH, HEIGHT, XLA = (SINGLE[x] for x in ("COUNT", "WIDTH", "HEIGHT", "XLA"))
MADE = ("build", "random_splat", "camera", "pose")
build, random_splat, camera, pose = (SINGLE[x] for x in MADE)


def views():
    one = camera(pose())
    poses = np.stack([pose(angle) for angle in (-0.4, 0.0, 0.5)])
    intrinsics = np.broadcast_to(one["intrinsics"], (3, 3, 3))
    many = {"camera_from_world": poses, "intrinsics": intrinsics}
    return build((random_splat(0), many))


def test_batch_and_vmap_equal_a_stack_of_single_views():
    """Depth offsets of each view, tags of all."""
    splat, many = views()
    offsets = jnp.asarray(np.random.default_rng(3).normal(size=(3, COUNT)), jnp.float32)
    tagged = jnp.linspace(0, 1, COUNT)

    @jax.jit
    def draw(splat, view, offsets):
        return render(splat, view, settings=XLA, depth_offsets=offsets, tagged=tagged)

    singles = [draw(splat, many[i], offsets[i]) for i in range(3)]
    stack = jax.tree.map(lambda *x: jnp.stack(x), *singles)
    batch = draw(splat, many, offsets)
    mapped = jax.jit(jax.vmap(draw, in_axes=(None, 0, 0)))(splat, many, offsets)
    nested = draw(
        splat,
        jax.tree.map(lambda x: x[None, :, None], many),
        offsets[None, :, None],
    )
    assert nested.color.shape == (1, 3, 1, HEIGHT, WIDTH, 3)
    for other in (batch, mapped, jax.tree.map(lambda x: x[0, :, 0], nested)):
        for a, b in zip(*map(jax.tree.leaves, (stack, other)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-6)


def test_gradient_of_vmap_is_the_sum_over_views():
    splat, many = views()

    def loss(splat, view):
        return jnp.sum(jnp.square(render(splat, view, settings=XLA).color))

    gradient = jax.jit(jax.grad(loss))
    apart = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0)))(splat, many)
    for whole, parts in zip(
        *map(jax.tree.leaves, (gradient(splat, many), apart)), strict=True
    ):
        np.testing.assert_allclose(whole, parts.sum(0), rtol=1e-4, atol=1e-4)


def test_gradients_of_many_cotangents_at_once_equal_those_of_each():
    """Two of three views: what forward has sorted belongs to both."""
    splat, many = views()
    draw = lambda splat: render(splat, many, settings=XLA).color
    color, pull = jax.vjp(draw, splat)
    outer = np.random.default_rng(4).normal(size=(2, *color.shape)).astype(np.float32)
    together = jax.vmap(pull)(outer)
    apart = jax.tree.map(lambda *x: jnp.stack(x), *map(pull, outer))
    for a, b in zip(*map(jax.tree.leaves, (together, apart)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
