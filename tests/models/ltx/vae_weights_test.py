import json
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from aw_jax.models.ltx import vae_weights
from aw_jax.models.ltx.vae_config import VAE_090, VAE_091, VAE_095

GOLDEN = Path(__file__).parents[2] / "golden/ltx_vae.json"
FULL_SIZE = json.loads(GOLDEN.read_text())["full_size"]
LAYOUTS = {"0.9.0": VAE_090, "0.9.1": VAE_091, "0.9.5": VAE_095}
TENSORS = {"0.9.0": 188 + 2, "0.9.1": 292 + 2, "0.9.5": 224 + 2}
PARAMETERS = {
    "0.9.0": (180_404_353, 238_789_296),
    "0.9.1": (180_404_353, 754_572_081),
    "0.9.5": (694_098_881, 552_814_641),
}
"""Of encoder and decoder."""


@pytest.mark.parametrize("whose", ["diffusers", "lightricks"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_tensor_at_full_size_has_its_upstream_name_and_shape(layout, whose):
    config = LAYOUTS[layout]
    _, state = vae_weights.abstract_vae(config)
    leaves = dict(nnx.to_flat_state(state))
    found = {}
    for name, at in vae_weights.tensor_names(config, whose).items():
        view = np.broadcast_to(np.float32(0), leaves[at].shape)
        axes = vae_weights.upstream_from_ours(view, at).shape
        found[name] = " ".join(map(str, axes))
    assert found == FULL_SIZE[layout][whose]
    assert len(found) == TENSORS[layout]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_full_size_models_have_their_known_numbers_of_parameters(layout):
    leaves = nnx.to_flat_state(vae_weights.abstract_vae(LAYOUTS[layout])[1])
    sizes = {"encoder": 0, "decoder": 0}
    for (side, *_), leaf in leaves:
        if side in sizes:
            sizes[side] += np.prod(leaf.shape, dtype=int)
    assert tuple(sizes.values()) == PARAMETERS[layout]


@pytest.mark.parametrize("shape", [(3, 3, 3, 4, 5), (4, 5)])
def test_axis_orders_are_inverse_to_each_other(shape):
    array = np.arange(np.prod(shape)).reshape(shape)
    there = vae_weights.upstream_from_ours(array, ("conv", "kernel"))
    assert there.shape[:2] == (5, 4)
    back = vae_weights.ours_from_upstream(there, ("conv", "kernel"))
    np.testing.assert_array_equal(back, array)


def test_scales_of_noise_have_two_more_axes_upstream():
    scale = np.arange(3)
    there = vae_weights.upstream_from_ours(scale, ("block", "noise1"))
    assert there.shape == (3, 1, 1)
    back = vae_weights.ours_from_upstream(there, ("block", "noise1"))
    np.testing.assert_array_equal(back, scale)
