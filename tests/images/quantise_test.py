import jax.numpy as jnp
import numpy as np

from aw_jax.images.quantise import dequantise, quantise


def test_every_level_survives_the_round_trip():
    levels = jnp.arange(256, dtype=jnp.uint8).reshape(1, 256, 1)
    np.testing.assert_array_equal(quantise(dequantise(levels)), levels)


def test_values_outside_the_unit_range_are_clipped():
    np.testing.assert_array_equal(
        quantise(jnp.asarray([[[-0.5], [1.5], [0.5]]])).ravel(), [0, 255, 128]
    )
