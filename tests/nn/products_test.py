"""Products and the gradients written out for them."""

import jax
import numpy as np
import pytest

from aw_jax.nn.products import inner, times_row


def test_inner_products_sum_over_the_axes_left_out():
    a, b = jax.random.normal(jax.random.key(0), (2, 2, 3, 5))
    np.testing.assert_allclose(
        inner(a, b, "...d,...d->..."), (a * b).sum(-1), atol=1e-6
    )
    np.testing.assert_allclose(inner(a, b, "bmd,bmd->bd"), (a * b).sum(1), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rows_over_runs_have_the_gradient_of_the_product(dtype):
    keys = jax.random.split(jax.random.key(0), 3)
    runs, outer = (jax.random.normal(k, (2, 3, 4, 5)) for k in keys[:2])
    args = runs.astype(dtype), jax.random.normal(keys[2], (2, 3, 5))
    wanted, pull = jax.vjp(lambda runs, rows: runs * rows[:, :, None], *args)
    got, ours = jax.vjp(times_row, *args)
    np.testing.assert_array_equal(got, wanted)
    for one, other in zip(ours(outer), pull(outer), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
