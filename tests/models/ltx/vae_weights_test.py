import json
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from aw_jax.models.ltx import vae_weights
from aw_jax.models.ltx.vae_config import VAE_095

GOLDEN = Path(__file__).parents[2] / "golden/ltx_vae.json"
FULL_SIZE = json.loads(GOLDEN.read_text())["full_size"]


@pytest.mark.parametrize("layout", ["diffusers", "lightricks"])
def test_every_tensor_of_the_full_size_model_has_its_upstream_name_and_shape(layout):
    _, state = vae_weights.abstract_vae(VAE_095)
    leaves = dict(nnx.to_flat_state(state))
    found = {}
    for name, at in vae_weights.tensor_names(VAE_095, layout).items():
        view = np.broadcast_to(np.float32(0), leaves[at].shape)
        axes = vae_weights.upstream_from_ours(view, at).shape
        found[name] = " ".join(map(str, axes))
    assert found == FULL_SIZE[layout]
    assert len(found) == 224 + 2


@pytest.mark.parametrize("shape", [(3, 3, 3, 4, 5), (4, 5)])
def test_axis_orders_are_inverse_to_each_other(shape):
    array = np.arange(np.prod(shape)).reshape(shape)
    there = vae_weights.upstream_from_ours(array, ("conv", "kernel"))
    assert there.shape[:2] == (5, 4)
    back = vae_weights.ours_from_upstream(there, ("conv", "kernel"))
    np.testing.assert_array_equal(back, array)
