"""Conditioning, guidance and the whole sampler beside the ltx-video wheel's, live."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = [
    pytest.mark.parity,
    # The wheel's own: torch.meshgrid without indexing, a deprecated attribute.
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
pytest.importorskip("torch", reason="the peers are not installed")
pytest.importorskip("diffusers", reason="the peers are not installed")
pytest.importorskip("ltx_video", reason="the peers are not installed")
pytest.importorskip("peft", reason="the peers are not installed")

ROOT = Path(__file__).parents[2]


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem + "_live", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def live():
    """What the goldens' script computes, in the form of its file."""
    goldens = ROOT / "scripts/goldens"
    sys.path.insert(0, str(goldens))
    try:
        script = load(goldens / "ltx_sampling.py")
    finally:
        sys.path.remove(str(goldens))
    return {
        f"{name}.{part}": values
        for name, tokens in script.outputs().items()
        for part, values in script.summary(tokens).items()
    }


@pytest.fixture(scope="module")
def ours():
    return load(ROOT / "tests/models/ltx/sampling_golden_test.py")


def test_perturbed_velocities_equal_the_wheel(live, ours):
    for kind in ours.KINDS:
        ours.test_perturbed_velocity_equals_the_wheel(live, kind)


def test_sampling_equals_the_wheels_pipeline(live, ours, monkeypatch):
    ours.test_sampling_by_tables_equals_the_wheel(live)
    ours.test_sampling_with_given_frames_equals_the_wheel(live)
    ours.test_noise_on_a_given_frame_equals_the_wheel(live, monkeypatch)


def test_the_goldens_are_what_the_wheel_gives(live, ours):
    with np.load(ours.GOLDEN.with_suffix(".npz")) as stored:
        assert set(stored) == set(live)
        for name, values in live.items():
            np.testing.assert_allclose(stored[name], values, atol=1e-5, rtol=1e-6)
