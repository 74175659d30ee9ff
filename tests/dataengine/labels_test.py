import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.dataengine import labels
from aw_jax.dataengine.labels import LabelConfig, Labeller
from aw_jax.models.lpips import heatmap, network, weights

CONFIG = LabelConfig(net="lpips-alex", constant=0.02, anchored=2, batch=3)


@pytest.fixture(autouse=True)
def net(monkeypatch):
    rng = np.random.default_rng(3)
    kernels, heads = weights._shapes("lpips-alex")
    draw = lambda shape: rng.standard_normal(shape, dtype=np.float32) * 0.05
    pairs = [(draw(shape), draw(size)) for shape, size in kernels]
    heads = [abs(draw(size)) for size in heads]
    made = weights.from_arrays("lpips-alex", pairs, heads)
    monkeypatch.setattr(weights, "load", lambda name: made)
    return made


def pair(seed=0):
    rng = np.random.default_rng(seed)
    clean = rng.integers(0, 256, (7, 40, 56, 3), np.uint8)
    noise = rng.integers(-60, 60, clean.shape)
    return clean, np.clip(clean + noise, 0, 255).astype(np.uint8)


def test_heatmap_is_the_distance_map_over_the_constant(net):
    clean, artifact = pair()
    got = Labeller(CONFIG).heatmaps(clean, artifact)
    x, y = (
        network.features(net, v.astype(np.float32) / 255, fed="[-1,1]")
        for v in (clean, artifact)
    )
    want = np.clip(network.distance_map(net, x, y, size=(40, 56)) / 0.02, 0, 1)
    # Rounding to 8 bits, and another batch size inside the net.
    np.testing.assert_allclose(got[1:5] / 255, want[1:5], atol=0.6 / 255)
    assert 0.05 < got[1:5].mean() / 255 < 0.95


def test_anchored_frames_have_no_heat():
    got = Labeller(CONFIG).heatmaps(*pair())
    assert not got[0].any()
    assert not got[-2:].any()
    assert got[1:-2].any(axis=(1, 2)).all()


def test_heatmaps_have_no_scale_of_their_own():
    clean, artifact = pair()
    small = (clean.astype(np.int32) + (artifact.astype(np.int32) - clean) // 8).astype(
        np.uint8
    )
    labeller = Labeller(CONFIG)
    assert labeller.heatmaps(clean, small).max() < labeller.heatmaps(*pair()).max()


def test_clean_features_are_computed_once_for_clips_of_one_trajectory(monkeypatch):
    clean, artifact = pair()
    labeller = Labeller(CONFIG)
    first = labeller.distances(clean, artifact)
    ran = []
    real = network.features

    def counted(*args, **kwargs):
        ran.append(1)
        return real(*args, **kwargs)

    monkeypatch.setattr(network, "features", counted)
    again = labeller.distances(clean.copy(), artifact)
    assert len(ran) == 2  # the artifact's four frames in batches of three
    np.testing.assert_array_equal(first, again)


def test_constant_is_the_percentile_over_frames_that_are_not_anchored():
    pairs = [pair(seed) for seed in range(2)]
    constant, counts = labels.measure_constant(pairs, config=CONFIG)
    labeller = Labeller(CONFIG)
    maps = np.stack([labeller.distances(*p) for p in pairs])
    assert counts.counts.sum() == maps.size
    # One bin is 16 / 32768.
    assert constant == pytest.approx(np.quantile(maps, 0.995), abs=1e-3)


def test_clips_that_do_not_match_or_are_all_anchored_are_refused():
    clean, artifact = pair()
    with pytest.raises(UserError, match="expected the same frames"):
        Labeller(CONFIG).heatmaps(clean, artifact[:5])
    with pytest.raises(UserError, match="at least 4"):
        Labeller(CONFIG).heatmaps(clean[:3], artifact[:3])


def test_a_net_without_a_stored_constant_is_named():
    with pytest.raises(UserError, match="heatmap net no-such-net"):
        heatmap.stored_constant("no-such-net")
