"""The 138,766 points of gsplat's test scene, rendered beside its torch functions."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="the peers are not installed")
pytest.importorskip("gsplat", reason="the peers are not installed")

sys.path.append(str(Path(__file__).parents[2] / "scripts/bench"))
import cases  # noqa: E402
import gsplat_peer  # noqa: E402

BACKENDS = ("native", "xla")


@pytest.fixture(scope="module")
def garden():
    if not cases.GARDEN.is_file():
        pytest.skip(f"{cases.GARDEN} is not there")
    return cases.garden_case()


@pytest.fixture(scope="module")
def peer(garden):
    return gsplat_peer.Peer(*garden)


def beside(garden, peer, weights, backend):
    """Color error per pixel, and the relative L2 of each gradient."""
    cotangents = [
        x * w for x, w in zip(cases.cotangents(garden[2]), weights, strict=True)
    ]
    color, ours = cases.our_run(garden, backend, cotangents)()
    expected, theirs = peer.run(*map(torch.from_numpy, cotangents))
    gradients = {
        name: np.linalg.norm(np.asarray(a) - b.numpy()) / np.linalg.norm(b.numpy())
        for name, a, b in zip(peer.names, ours, theirs, strict=True)
    }
    return np.abs(np.asarray(color) - expected.numpy()), gradients


@pytest.mark.parametrize("backend", BACKENDS)
def test_images_and_gradients_agree(backend, garden, peer):
    one = np.float32(1)
    error, gradients = beside(garden, peer, (one, one), backend)
    print(backend, error.mean(), np.quantile(error, 0.999), gradients)
    assert error.mean() < 1e-6
    assert np.quantile(error.max(axis=-1), 0.999) < 1e-5
    assert max(gradients.values()) < 1e-3


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_agree_closely_away_from_thresholds(backend, garden, peer):
    sure = np.float32(~peer.unsure.reshape(peer.height, peer.width))
    assert sure.mean() > 0.5
    _, gradients = beside(garden, peer, (sure[..., None], sure), backend)
    print(backend, sure.mean(), gradients)
    assert gradients.pop("pose") < 1e-3
    assert max(gradients.values()) < 1e-4
