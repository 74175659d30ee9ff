import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from aw_jax.core.errors import UserError
from aw_jax.metrics.frames import FrameMetricsConfig, frame_figures, variants
from aw_jax.models.lpips import network, weights

PLAIN = FrameMetricsConfig(lpips_net="none", ssim_padding="valid")


def random_net(name):
    rng = np.random.default_rng(3)
    kernels, heads = weights._shapes(name)
    draw = lambda shape: rng.standard_normal(shape, dtype=np.float32) * 0.05
    pairs = [(draw(shape), draw(size)) for shape, size in kernels]
    return weights.from_arrays(name, pairs, [abs(draw(size)) for size in heads])


def views():
    rng = np.random.default_rng(4)
    truths = [rng.random(size, dtype=np.float32) for size in ((40, 52, 3), (52, 40, 3))]
    noisy = [t + 0.1 * rng.standard_normal(t.shape, dtype=np.float32) for t in truths]
    return noisy, truths


def test_figures_are_those_of_the_eight_bit_files():
    noisy, truths = views()
    figures = frame_figures(noisy, truths, config=PLAIN)
    for i, pair in enumerate(zip(noisy, truths, strict=True)):
        a, b = (np.round(np.clip(v, 0, 1) * 255).astype(np.uint8) for v in pair)
        assert figures.psnr[i] == pytest.approx(peak_signal_noise_ratio(b, a), abs=1e-4)
        want = structural_similarity(
            a,
            b,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert figures.ssim[i] == pytest.approx(want, abs=1e-4)


def test_lpips_is_the_named_nets_distance(monkeypatch):
    net = random_net("lpips-alex")
    monkeypatch.setattr(weights, "_found", lambda name: net)
    noisy, truths = views()
    config = FrameMetricsConfig(lpips_net="lpips-alex", lpips_fed="[0,1]")
    got = frame_figures(noisy, truths, config=config).lpips
    a, b = (np.round(np.clip(v[0], 0, 1) * 255)[None] / 255 for v in (noisy, truths))
    x, y = (network.features(net, v.astype(np.float32), fed="[0,1]") for v in (a, b))
    assert got is not None
    assert got[0] == pytest.approx(float(network.distance(net, x, y)[0]), rel=1e-4)


def test_frames_equal_to_their_truth_stay_out_of_mean_psnr():
    noisy, truths = views()
    figures = frame_figures([noisy[0], truths[1]], truths, config=PLAIN)
    assert figures.psnr[1] == np.inf
    assert figures.means()["psnr"] == figures.psnr[0]
    assert figures.accumulators()["psnr"].skipped == 1


def test_missing_weights_leave_lpips_null_with_the_reason(monkeypatch):
    monkeypatch.setattr(weights, "_found", lambda name: "not installed")
    config = FrameMetricsConfig(lpips_net="st-lpips-vgg")
    figures = frame_figures(*views(), config=config)
    assert figures.lpips is None
    assert figures.means()["lpips"] is None
    assert variants(config)["lpips"] == {"net": None, "reason": "not installed"}


def test_variants_name_padding_net_and_range():
    config = FrameMetricsConfig(lpips_net="none", ssim_padding="valid")
    assert variants(config)["ssim"]["padding"] == "valid"
    with pytest.raises(UserError, match="st-lpips-vgg"):
        FrameMetricsConfig(lpips_net="vgg")


def test_images_too_small_for_the_net_are_refused(monkeypatch):
    net = random_net("lpips-alex")
    monkeypatch.setattr(weights, "_found", lambda name: net)
    tiny = [np.zeros((20, 40, 3), np.float32)]
    with pytest.raises(UserError, match="40x20"):
        frame_figures(tiny, tiny, config=FrameMetricsConfig(lpips_net="lpips-alex"))
