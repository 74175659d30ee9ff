import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.splat.kernels.tiles import Grid, _running_sum, _sorted


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 63, 64, 65, 1000])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_running_sum_is_cumsum(batch, count):
    x = np.random.default_rng(count).integers(0, 2**16, (*batch, count), np.int32)
    found = _running_sum(jnp.asarray(x))
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, np.cumsum(x, axis=-1))


@pytest.mark.parametrize("gaussians", [1_000_000, 1_048_320, 2_000_000])
def test_slots_are_sorted_by_tile_then_rank_up_to_the_largest_key(
    gaussians: int,
) -> None:
    grid = Grid(1, 512, 512, 8)
    draw = np.random.default_rng(0)
    tile = np.append(draw.integers(grid.tiles + 1, size=1000), [grid.tiles, 0])
    rank = np.append(np.sort(draw.integers(gaussians, size=1000)), 2 * [gaussians - 1])
    order = np.lexsort((rank, tile))
    got = _sorted(jnp.asarray(tile), jnp.asarray(rank), grid, gaussians)
    np.testing.assert_array_equal(got, (tile[order], rank[order]))
