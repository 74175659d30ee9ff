"""What the XLA kernel's forward hands to backward.

`rasterize_test.py` holds both against the oracle, like the other backends.
"""

import functools
import runpy
from pathlib import Path

import numpy as np

from aw_jax.splat.kernels import xla

DENSE = runpy.run_path(str(Path(__file__).with_name("native_test.py")))
scene, on_device, cotangents = (
    DENSE[name] for name in ("scene", "on_device", "cotangents")
)


def test_backward_gives_the_same_whether_it_sorts_again_or_not():
    """Two views in several layers, of which the first is known.

    These are two programs: fused differently, they may round differently.
    """
    many, capacity = on_device(scene(90, 20, 12, views=2, seed=3)), 200
    sizes = {"width": 20, "height": 12, "max_alpha": 0.99, "capacity": capacity}
    image, light, slots, _, known = xla.forward(*many, **sizes)
    assert slots.min() > capacity
    outer = on_device(cotangents(image, light))
    backward = functools.partial(xla.backward, *many, image, light, *outer, **sizes)
    for kept, anew in zip(backward(known), backward(), strict=True):
        assert np.any(anew != 0)
        np.testing.assert_allclose(kept, anew, atol=1e-6 * np.abs(anew).max())
