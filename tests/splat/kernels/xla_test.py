"""What the XLA kernel's forward hands to backward.

`rasterize_test.py` holds both against the oracle, like the other backends.
"""

import functools
import runpy
from pathlib import Path

import jax
import numpy as np

from aw_jax.splat.kernels import xla

DENSE = runpy.run_path(str(Path(__file__).with_name("native_test.py")))
scene, on_device, cotangents = (
    DENSE[name] for name in ("scene", "on_device", "cotangents")
)


def test_backward_gives_the_same_bits_whether_it_sorts_again_or_not():
    """Two views in several layers, of which the first is known.

    Compiled as users have it: these are two programs, and as the tests are compiled,
    quickly, they round differently.
    """
    many, capacity = on_device(scene(90, 20, 12, views=2, seed=3)), 200
    sizes = {"width": 20, "height": 12, "max_alpha": 0.99, "capacity": capacity}
    image, light, slots, _, known = xla.forward(*many, **sizes)
    assert slots.min() > capacity
    outer = on_device(cotangents(image, light))
    optimised = {
        "xla_backend_optimization_level": 3,
        "xla_cpu_use_fusion_emitters": True,
    }
    kernel = functools.partial(xla.backward, **sizes)
    backward = jax.jit(kernel, compiler_options=optimised)
    given = *many, image, light, *outer
    for kept, anew in zip(backward(*given, known), backward(*given), strict=True):
        assert np.any(anew != 0)
        np.testing.assert_array_equal(kept, anew)
