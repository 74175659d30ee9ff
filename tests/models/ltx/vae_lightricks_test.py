import json

import pytest

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import vae_lightricks
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
LIGHTRICKS_090 = {
    "_class_name": "CausalVideoAutoencoder",
    "dims": 3,
    "latent_channels": 128,
    "blocks": [
        ["res_x", 4],
        ["compress_all", 1],
        ["res_x_y", 1],
        ["res_x", 3],
        ["compress_all", 1],
        ["res_x_y", 1],
        ["res_x", 3],
        ["compress_all", 1],
        ["res_x", 3],
        ["res_x", 4],
    ],
    "norm_layer": "pixel_norm",
    "patch_size": 4,
    "latent_log_var": "uniform",
    "use_quant_conv": False,
    "causal_decoder": False,
}
"""As the ltx-video wheel has it (diffusers_config_mapping.py, OURS_VAE_CONFIG)."""


def through_json(entry):
    return json.loads(json.dumps(entry))


def test_the_shared_list_of_0_9_0_is_read_for_both_sides():
    assert vae_lightricks.from_lightricks(LIGHTRICKS_090) == VAE_090


@pytest.mark.parametrize("name", [*PRESETS, "tiny"])
def test_a_config_comes_back_from_lightricks_words(name):
    config = (PRESETS | {"tiny": TINY})[name]
    entry = through_json(vae_lightricks.to_lightricks(config))
    assert vae_lightricks.from_lightricks(entry) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm_layer": "group_norm"}, "norm_layer: expected 'pixel_norm', got 'gr"),
        ({"spatial_padding_mode": "reflect"}, "expected 'zeros', got 'reflect'"),
        ({"causal_decoder": True}, "causal_decoder: expected False"),
        ({"blocks": [["attn_res_x", {}]]}, "a list from res_x to res_x"),
        ({"blocks": []}, "encoder_blocks: expected a list of blocks"),
        ({"blocks": [["res_x", 1], ["attn", {}], ["res_x", 1]]}, "got 'attn'"),
        (
            {
                "blocks": [
                    ["res_x", 1],
                    ["res_x_y", 1],
                    ["compress_all", 1],
                    ["res_x", 1],
                ]
            },
            "at most one compress_",
        ),
        (
            {
                "encoder_blocks": [
                    ["res_x", 1],
                    ["compress_all_res", {"multiplier": 2}],
                    ["res_x", 1],
                    ["compress_all", 1],
                    ["res_x", 1],
                ]
            },
            "residual folds everywhere or nowhere",
        ),
    ],
)
def test_what_this_autoencoder_does_not_do_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        vae_lightricks.from_lightricks(LIGHTRICKS_090 | changes)
