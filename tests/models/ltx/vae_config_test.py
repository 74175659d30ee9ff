import dataclasses

import pytest

from aw_jax.models.ltx.vae_config import (
    PROBE,
    PROBE_090,
    PROBE_091,
    TINY,
    VAE_090,
    VAE_091,
    VAE_095,
)


@pytest.mark.parametrize(
    ("config", "strides", "channels"),
    [
        (VAE_090, (8, 32), 128),
        (VAE_091, (8, 32), 128),
        (VAE_095, (8, 32), 128),
        (PROBE_090, (8, 32), 8),
        (PROBE_091, (8, 32), 8),
        (PROBE, (8, 32), 8),
        (TINY, (8, 8), 128),
    ],
)
def test_presets_compress_as_documented(config, strides, channels):
    assert (config.time_stride, config.space_stride) == strides
    assert config.latent_channels == channels


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_widths": (8, 16)}, "encoder_widths must have one entry more"),
        ({"decoder_blocks": (1,)}, "decoder_blocks must have one entry more"),
        ({"encoder_widths": (8, 16, 32, 64, 100)}, "encoder_widths 64 -> 100"),
        ({"decoder_widths": (64, 24, 16, 8)}, "decoder_widths 24 -> 16"),
        ({"decoder_strides": ((2, 2, 2), (2, 2, 2), (2, 1, 1))}, "must undo"),
        ({"decoder_strides": ((2, 2, 1), (2, 2, 2), (2, 2, 2))}, r"\(1 or 2, s, s\)"),
        ({"decoder_noise": (True,)}, "must be empty or have 4 entries"),
    ],
)
def test_stages_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PROBE, **changes)
