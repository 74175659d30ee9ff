"""Our four nets beside torch, live; tolerances as in tests/golden/lpips.json."""

import importlib.util
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.models.lpips import network, weights

pytestmark = pytest.mark.parity
SCRIPT = Path(__file__).parents[2] / "scripts/goldens/lpips_nets.py"


@pytest.fixture(scope="module")
def peer():
    spec = importlib.util.spec_from_file_location("lpips_nets", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", network.ARCHITECTURES)
@pytest.mark.parametrize("size", [(64, 96), (49, 71)])
def test_distance_and_map_match_torch(peer, name, size):
    rng = np.random.default_rng(5)
    a, b = rng.random((2, 3, *size, 3), dtype=np.float32)
    trunk = name.rsplit("-", 1)[1]
    if name.startswith("st-"):
        want, net = peer.shift_tolerant(trunk, a, b), weights.load(name)
    else:
        want = peer.official(trunk, a, b)
        net = weights.from_arrays(name, *peer.random_weights(trunk))
    x, y = (network.features(net, jnp.asarray(v), fed="[-1,1]") for v in (a, b))
    full = network.distance_map(net, x, y, size=size)
    np.testing.assert_allclose(network.distance(net, x, y), want["distance"], rtol=1e-4)
    np.testing.assert_allclose(full, want["map"], atol=1e-4 * want["map"].max())
