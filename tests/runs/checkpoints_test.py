import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.pytrees import pytree, static
from aw_jax.runs.checkpoints import Checkpoints


@pytree
class State:
    weights: jax.Array
    step: jax.Array
    name: str = static(default="a")


def test_a_tree_comes_back_bit_for_bit_with_its_notes(tmp_path):
    state = State(
        weights=jax.random.normal(jax.random.key(0), (3, 4)), step=jnp.int32(5)
    )
    saved = Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 3):
        saved.save(step, state, notes={"phase": "fit", "at": step})
    saved.close()
    found = Checkpoints(tmp_path, keep=2)
    assert found.latest() == 3
    back, notes = found.restore(3, like=jax.eval_shape(lambda: state))
    found.close()
    assert notes == {"phase": "fit", "at": 3}
    assert back.name == "a"
    np.testing.assert_array_equal(back.weights, state.weights)
    np.testing.assert_array_equal(back.step, state.step)


def test_notes_can_be_read_before_the_shapes_of_the_tree_are_known(tmp_path):
    saved = Checkpoints(tmp_path)
    saved.save(4, {"a": jnp.zeros(7)}, notes={"rows": 7})
    saved.close()
    found = Checkpoints(tmp_path)
    notes = found.notes(4)
    back, _ = found.restore(4, like={"a": jax.ShapeDtypeStruct((7,), jnp.float32)})
    found.close()
    assert notes == {"rows": 7}
    np.testing.assert_array_equal(back["a"], np.zeros(7))
