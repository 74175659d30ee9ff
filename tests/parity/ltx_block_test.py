"""One block of the 13B at full width beside diffusers', live; it takes 4 GB."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.parity
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


def test_a_block_of_the_13b_equals_diffusers():
    upstream = load(ROOT / "scripts/goldens/ltx_transformer.py")
    ours = load(ROOT / "tests/models/ltx/full_width_test.py")
    theirs = upstream.block()
    state = theirs.state_dict()
    assert sum(x.numel() for x in state.values()) == 268_529_664
    got = ours.run_block(ours.block_of(lambda name, shape: state[name].numpy()))
    wanted = upstream.run_block(theirs)
    assert np.abs(wanted).mean() > 0.1
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    with np.load(ours.GOLDEN.with_suffix(".npz")) as golden:
        kept = wanted.ravel()[:: ours.STRIDE]
        np.testing.assert_allclose(golden["block"], kept, rtol=1e-5, atol=1e-5)
