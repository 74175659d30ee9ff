"""How tensors become parameters; names and shapes at full size are in the goldens."""

import weakref

import numpy as np

from aw_jax.models.t5 import weights


def test_names_are_upstreams_and_stacked_by_layer(tiny):
    slots = weights.tensor_names(tiny.config)
    name = "encoder.block.1.layer.1.DenseReluDense.wi_0.weight"
    assert slots[name] == weights.Slot(("blocks", "ff", "gate", "kernel"), 1)
    assert weights.tensor_shape(tiny.config, slots[name]) == (24, 16)
    assert len(slots) == 9 * tiny.config.layers + 3


def test_parameters_do_not_depend_on_the_order_of_tensors(tiny):
    tensors = list(tiny.draw().items())
    one, two = (weights.from_upstream(tiny.config, t) for t in (tensors, tensors[::-1]))
    np.testing.assert_array_equal(
        one.blocks.attention.q.kernel[...], two.blocks.attention.q.kernel[...]
    )
    np.testing.assert_array_equal(one.table[...], two.table[...])


def test_tensors_are_let_go_one_by_one(tiny):
    """When a tensor is asked for, at most the one before is still held."""
    alive, held = [], []

    def one_by_one():
        for name, tensor in tiny.draw().items():
            held.append(sum(ref() is not None for ref in alive))
            own = tensor.copy()
            alive.append(weakref.ref(own))
            yield name, own
            del own

    weights.from_upstream(tiny.config, one_by_one())
    assert max(held) <= 1
