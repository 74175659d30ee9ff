import json

import pytest

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import vae_diffusers
from aw_jax.models.ltx.vae_config import (
    PROBE,
    PROBE_090,
    PROBE_091,
    TINY,
    VAE_090,
    VAE_091,
    VAE_095,
)

PRESETS = {
    "090": VAE_090,
    "091": VAE_091,
    "095": VAE_095,
    "probe": PROBE,
    "probe 090": PROBE_090,
    "probe 091": PROBE_091,
}
DIFFUSERS_090 = {
    "block_out_channels": [128, 256, 512, 512],
    "decoder_causal": False,
    "encoder_causal": True,
    "in_channels": 3,
    "latent_channels": 128,
    "layers_per_block": [4, 3, 3, 3, 4],
    "out_channels": 3,
    "patch_size": 4,
    "patch_size_t": 1,
    "spatio_temporal_scaling": [True, True, True, False],
}
"""As the first public folder has it (the same file, DIFFUSERS_VAE_CONFIG)."""


def through_json(entry):
    return json.loads(json.dumps(entry))


def test_what_a_diffusers_folder_leaves_out_is_the_default_of_its_class():
    assert vae_diffusers.from_diffusers(DIFFUSERS_090) == VAE_090


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_comes_back_from_diffusers_words(name):
    entry = through_json(vae_diffusers.to_diffusers(PRESETS[name]))
    assert vae_diffusers.from_diffusers(entry) == PRESETS[name]


def test_a_decoder_that_diffusers_cannot_describe_is_refused():
    with pytest.raises(UserError, match="diffusers can only describe"):
        vae_diffusers.to_diffusers(TINY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder_causal": True}, "decoder_causal: expected False, got True"),
        (
            {
                "down_block_types": ["LTXVideo095DownBlock3D"] * 4,
                "downsample_type": ["conv"] * 4,
            },
            "expected spatial or temporal or spatiotemporal, got 'conv'",
        ),
    ],
)
def test_a_folder_that_says_something_else_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        vae_diffusers.from_diffusers(DIFFUSERS_090 | changes)
