import importlib.util
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.models.lpips import network, weights

GOLDENS = Path(__file__).parents[2] / "golden"
PROVENANCE = json.loads((GOLDENS / "lpips.json").read_text())
SEED, TOLERANCE = PROVENANCE["seed"], PROVENANCE["tolerance"]


def images():
    rng = np.random.default_rng(SEED)
    a = rng.random((2, 72, 40, 3), dtype=np.float32)
    noise = rng.standard_normal(a.shape, dtype=np.float32)
    return jnp.asarray(a), jnp.asarray(np.clip(a + 0.2 * noise, 0, 1))


def random_net(name):
    rng = np.random.default_rng(SEED + 1)
    convolutions, heads, channels = [], [], 3
    for stage in network.ARCHITECTURES[name]:
        for op in (op for op in stage if isinstance(op, network.Conv)):
            shape = (op.window, op.window, channels, op.features)
            scale = np.float32(np.sqrt(2 / (op.window * op.window * channels)))
            kernel = rng.standard_normal(shape, dtype=np.float32) * scale
            bias = 0.1 * rng.standard_normal(op.features, dtype=np.float32)
            convolutions.append((kernel, bias))
            channels = op.features
        heads.append(rng.random(channels, dtype=np.float32))
    return weights.from_arrays(name, convolutions, heads)


def compare(net, a, b, *, fed="[-1,1]"):
    x, y = (network.features(net, v, fed=fed) for v in (a, b))
    size = a.shape[1:3]
    return network.distance(net, x, y), network.distance_map(net, x, y, size=size)


@pytest.fixture(scope="module")
def alex():
    return random_net("lpips-alex")


@pytest.mark.parametrize("name", network.ARCHITECTURES)
def test_net_matches_torch(name):
    if name.startswith("st-"):
        if importlib.util.find_spec("stlpips_pytorch") is None:
            pytest.skip(
                "the package stlpips_pytorch, which holds the weights, is absent"
            )
        net = weights.load(name)
    else:
        net = random_net(name)
    distance, full = compare(net, *images())
    with np.load(GOLDENS / "lpips.npz") as golden:
        for got, key in ((distance, "distance"), (full, "map")):
            want = golden[f"{name}/{key}"]
            np.testing.assert_allclose(got, want, atol=TOLERANCE * want.max(), rtol=0)


def test_an_image_has_no_distance_from_itself(alex):
    a, _ = images()
    distance, full = compare(alex, a, a)
    assert not distance.any()
    assert not full.any()


def test_distance_is_symmetric(alex):
    a, b = images()
    np.testing.assert_array_equal(compare(alex, a, b)[1], compare(alex, b, a)[1])


def test_range_is_what_the_trunk_is_fed(alex):
    a, b = images()
    as_is = compare(alex, a, b, fed="[0,1]")[0]
    stretched = compare(alex, (a + 1) / 2, (b + 1) / 2, fed="[-1,1]")[0]
    np.testing.assert_allclose(as_is, stretched, rtol=1e-4)  # 2 (a + 1) / 2 - 1 rounds
    assert abs(as_is - compare(alex, a, b)[0]).min() > 1e-4


def test_distance_map_is_local(alex):
    a, _ = images()
    b = a.at[:, 56:, :].set(0.0)
    full = compare(alex, a, b)[1]
    assert full[:, 60:].mean() > 10 * full[:, :12].mean()


def test_reused_features_give_the_same_map(alex):
    a, b = images()
    whole = compare(alex, a, b)[1]
    clean = network.features(alex, a[1:], fed="[-1,1]")
    other = network.features(alex, b[1:], fed="[-1,1]")
    again = network.distance_map(alex, clean, other, size=a.shape[1:3])
    np.testing.assert_allclose(again, whole[1:], atol=1e-5)  # another batch size


@pytest.mark.parametrize("name", network.ARCHITECTURES)
def test_smallest_side_is_the_shortest_that_runs(name):
    from jax import ShapeDtypeStruct, eval_shape

    side = network.smallest_side(name)
    net = random_net("lpips-vgg") if "vgg" in name else random_net("lpips-alex")
    net = network.Lpips(
        name=name, kernels=net.kernels, biases=net.biases, heads=net.heads
    )
    run = lambda x: network.features(net, x, fed="[0,1]")
    last = eval_shape(run, ShapeDtypeStruct((1, side, side, 3), jnp.float32))[-1]
    assert min(last.shape[1:3]) >= 1
    assert network._side_after(name, side - 1) < 1
