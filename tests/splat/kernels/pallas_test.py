"""The Pallas kernels as Pallas' interpreter runs them, and what Triton makes of them.

`rasterize_test.py` holds them against the oracle, like the other backends. Nothing here
has run on a GPU: that the kernels lower for one says only that Triton knows all of
their operations.
"""

import functools
import runpy
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from aw_jax.core.errors import UserError
from aw_jax.splat.kernels import pallas

DENSE = runpy.run_path(str(Path(__file__).with_name("native_test.py")))
scene, on_device, on_screen = (
    DENSE[name] for name in ("scene", "on_device", "on_screen")
)


def test_many_gaussians_in_two_views_match_dense_though_lists_take_more_windows():
    many, capacity = scene(500, 48, 32, views=2, seed=1), 300
    module = types.SimpleNamespace(
        forward=functools.partial(pallas.forward, capacity=capacity),
        backward=functools.partial(pallas.backward, capacity=capacity),
    )
    slots = module.forward(*on_device(many), **on_screen(48, 32))[2]
    assert slots.min() > 2 * capacity
    DENSE["assert_matches_dense"](many, 48, 32, module=module)


def test_kernels_lower_to_triton_for_a_gpu(monkeypatch):
    """Needs no GPU; five channels, as no size but that of a tile is a power of two."""
    monkeypatch.setattr(pallas, "_interpreted", lambda: False)
    arrays, screen = on_device(scene(30, 48, 32, channels=5)), on_screen(48, 32)
    image = jnp.zeros((1, 32, 48, 5))
    images = image, image[..., 0], image, image[..., 0]
    for traced in (
        pallas.forward.trace(*arrays, **screen),
        pallas.backward.trace(*arrays, *images, **screen),
    ):
        program = traced.lower(lowering_platforms=("cuda",)).as_text()
        assert program.count("__gpu$xla.gpu.triton") == 1
        assert "grid_x = 3 : i32, grid_y = 2 : i32, grid_z = 1 : i32" in program


def test_a_tpu_is_told_to_take_xla(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    arrays = on_device(scene(7, 48, 32))
    with pytest.raises(UserError, match="expected a GPU, got a TPU"):
        pallas.forward.trace(*arrays, **on_screen(48, 32))
