"""Token coordinates: both time conventions, any strides, row-major order."""

import jax.numpy as jnp
import numpy as np
import pytest
from einops import rearrange

from aw_jax.models.ltx.patchify import latents_from_tokens, tokens_from_latents
from aw_jax.models.ltx.positions import coordinates


@pytest.mark.parametrize(
    ("rope_time", "frames"), [("causal", [0, 1, 9, 17]), ("plain", [0, 8, 16, 24])]
)
def test_latent_frames_stand_at_seconds_of_the_video(rope_time, frames):
    found = coordinates(4, 1, 1, fps=24, rope_time=rope_time)[:, 0]
    np.testing.assert_allclose(found, np.array(frames) / 24, rtol=1e-6)


def test_strides_are_those_of_the_autoencoder():
    found = coordinates(2, 2, 3, fps=1, rope_time="causal", strides=(4, 8, 16))
    assert found.shape == (12, 3)
    np.testing.assert_array_equal(found[-1], [1, 8, 32])


def test_tokens_and_coordinates_run_in_the_same_order():
    grid = coordinates(2, 3, 4, fps=1, rope_time="plain", strides=(1, 1, 1))
    index = np.stack(np.meshgrid(*map(np.arange, (2, 3, 4)), indexing="ij"), axis=-1)
    latents = jnp.asarray(index[None], jnp.float32)
    np.testing.assert_array_equal(tokens_from_latents(latents)[0], grid)
    back = latents_from_tokens(grid[None], frames=2, height=3, width=4)
    np.testing.assert_array_equal(back, latents)
    np.testing.assert_array_equal(rearrange(index, "f h w c -> (f h w) c"), grid)
