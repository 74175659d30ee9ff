import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.splat.kernels.tiles import _running_sum


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 63, 64, 65, 1000])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_running_sum_is_cumsum(batch, count):
    x = np.random.default_rng(count).integers(0, 2**16, (*batch, count), np.int32)
    found = _running_sum(jnp.asarray(x))
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, np.cumsum(x, axis=-1))
