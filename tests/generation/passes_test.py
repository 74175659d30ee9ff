"""Two passes: their sizes, and what has to be there for them."""

import json

import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.generation import checkpoint, pipeline
from aw_jax.generation.config import DecodeConfig, GenerateConfig, SecondPass
from aw_jax.models.ltx.guided_sampling import GuidedConfig
from aw_jax.models.ltx.safetensors_files import save_tensors
from aw_jax.models.ltx.sampling import SamplerConfig
from aw_jax.models.ltx.upsampler import UpsamplerConfig
from aw_jax.models.ltx.upsampler_files import WORDS, tensor_shapes
from aw_jax.models.ltx.vae_config import PROBE

SECOND = SecondPass(sampling=GuidedConfig(sampler=SamplerConfig(steps=4, skip_first=2)))


def test_the_second_pass_is_twice_the_first_and_starts_lower():
    """Lightricks: 704 x 1216 comes of 448 x 800 and 896 x 1600."""
    config = GenerateConfig(second=SECOND)
    first, second = pipeline.passes(config, PROBE)
    assert first.size == (121, 448, 800)
    assert second.size == (121, 896, 1600)
    assert first.sampling == config.sampling
    assert pipeline.levels(second, PROBE).tolist() == [0.5, 0.25, 0]
    assert pipeline.passes(GenerateConfig(), PROBE) == [GenerateConfig()]


def test_a_first_pass_of_nothing_is_refused():
    config = GenerateConfig(second=SECOND, height=40)
    with pytest.raises(UserError, match="40 x 1216 is below the 32 pixels"):
        pipeline.passes(config, PROBE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SecondPass(sampling=GuidedConfig(), shrink=0.0), "shrink must be in"),
        (lambda: DecodeConfig(tone_map=1.5), "tone_map must be in"),
    ],
)
def test_shares_outside_their_range_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_an_upsampler_and_a_recipe_of_two_passes_go_together(tmp_path):
    two, one = GenerateConfig(second=SECOND), GenerateConfig()
    assert checkpoint.upsampler(None, one, PROBE) is None
    for path, config in ((None, two), (tmp_path, one)):
        with pytest.raises(UserError, match="--upsampler goes with a recipe"):
            checkpoint.upsampler(path, config, PROBE)
    config = UpsamplerConfig(channels=8, width=32, blocks=0, temporal=True)
    words = {upstream: getattr(config, ours) for upstream, ours in WORDS.items()}
    shapes, path = tensor_shapes(config), tmp_path / "a.safetensors"
    save_tensors(
        path,
        {name: np.zeros(shape, np.float32) for name, shape in shapes.items()},
        metadata={"config": json.dumps({"_class_name": "LatentUpsampler"} | words)},
    )
    with pytest.raises(UserError, match=r"by 2 in space alone, got 8 and \(2, 2, 2\)"):
        checkpoint.upsampler(path, two, PROBE)
    save_tensors(path, {}, metadata={"config": json.dumps({"_class_name": "VAE"})})
    with pytest.raises(UserError, match="expected a latent upsampler"):
        checkpoint.upsampler(path, two, PROBE)
