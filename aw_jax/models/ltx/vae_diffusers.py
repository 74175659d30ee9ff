"""The autoencoder's shape in diffusers' words: `config.json` of a folder.

A tuple for every property, the decoder's from the pixels; what equals the default of
the class may be left out.

Source: `AutoencoderKLLTXVideo` of diffusers.
"""

from dataclasses import replace
from typing import Any

from aw_jax.core.errors import UserError
from aw_jax.models.ltx.vae_config import Stride, VAEConfig

_NOTHING: Stride = (1, 1, 1)
_DEFAULTS: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 128,
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["LTXVideoDownBlock3D"] * 4,
    "decoder_block_out_channels": [128, 256, 512, 512],
    "layers_per_block": [4, 3, 3, 3, 4],
    "decoder_layers_per_block": [4, 3, 3, 3, 4],
    "spatio_temporal_scaling": [True, True, True, False],
    "decoder_spatio_temporal_scaling": [True, True, True, False],
    "decoder_inject_noise": [False] * 5,
    "downsample_type": ["conv"] * 4,
    "upsample_residual": [False] * 4,
    "upsample_factor": [1] * 4,
    "timestep_conditioning": False,
    "patch_size": 4,
    "patch_size_t": 1,
    "scaling_factor": 1.0,
    "encoder_causal": True,
    "decoder_causal": False,
}
"""Of `AutoencoderKLLTXVideo`, so of a folder whose `config.json` leaves them out."""

_TYPES = {(1, 2, 2): "spatial", (2, 1, 1): "temporal", (2, 2, 2): "spatiotemporal"}


def from_diffusers(entry: dict[str, Any]) -> VAEConfig:
    """The configuration that a diffusers folder's `config.json` describes.

    Raises:
        UserError: it says something that this autoencoder does not do.
    """
    get = lambda name: entry.get(name, _DEFAULTS[name])
    for name in ("encoder_causal", "decoder_causal", "patch_size_t", "in_channels"):
        if get(name) != _DEFAULTS[name]:
            raise _unfit(name, repr(_DEFAULTS[name]), repr(get(name)))
    folds = get("down_block_types")[-1] == "LTXVideo095DownBlock3D"
    widths = tuple(get("block_out_channels"))
    scaled = get("spatio_temporal_scaling")
    if folds:
        strides = tuple(map(_stride_of_type, get("downsample_type")))
    else:
        widths = (*widths, widths[-1])
        strides = tuple((2, 2, 2) if scales else _NOTHING for scales in scaled)
    unfolds, factor = get("upsample_residual")[0], get("upsample_factor")[0]
    outer = tuple(get("decoder_block_out_channels"))[::-1]
    noise = tuple(get("decoder_inject_noise"))[::-1]
    scaled = get("decoder_spatio_temporal_scaling")[::-1]
    return VAEConfig(
        latent_channels=get("latent_channels"),
        patch=get("patch_size"),
        encoder_widths=widths,
        encoder_blocks=tuple(get("layers_per_block")),
        encoder_strides=strides,
        decoder_widths=(outer[0], *(width // factor for width in outer)),
        decoder_blocks=tuple(get("decoder_layers_per_block"))[::-1],
        decoder_strides=tuple((2, 2, 2) if scales else _NOTHING for scales in scaled),
        downsampling="fold" if folds else "stride",
        upsampling="fold" if unfolds else "plain",
        timestep_conditioning=get("timestep_conditioning"),
        decoder_noise=noise if any(noise) else (),
    )


def to_diffusers(config: VAEConfig) -> dict[str, Any]:
    """The `config.json` of a diffusers folder.

    Raises:
        UserError: diffusers has no such autoencoder.
    """
    down, up = config.encoder, config.decoder
    factor = up.widths[0] // up.widths[1] if up.folds else 1
    widths = [width * factor for width in up.widths[:0:-1]]
    stages = len(down.strides)
    kind = "LTXVideo095DownBlock3D" if down.folds else "LTXVideoDownBlock3D"
    types = [_TYPES.get(s, "none") if down.folds else "conv" for s in down.strides]
    entry = {
        "_class_name": "AutoencoderKLLTXVideo",
        "latent_channels": config.latent_channels,
        "patch_size": config.patch,
        "block_out_channels": list(down.widths if down.folds else down.widths[:-1]),
        "down_block_types": [kind] * stages,
        "downsample_type": types,
        "layers_per_block": list(down.blocks),
        "spatio_temporal_scaling": [stride != _NOTHING for stride in down.strides],
        "decoder_block_out_channels": widths,
        "decoder_layers_per_block": list(up.blocks[::-1]),
        "decoder_spatio_temporal_scaling": [s != _NOTHING for s in up.strides[::-1]],
        "decoder_inject_noise": list(config.decoder_noise[::-1])
        or [False] * len(up.blocks),
        "upsample_residual": [up.folds] * len(up.strides),
        "upsample_factor": [factor] * len(up.strides),
        "timestep_conditioning": config.timestep_conditioning,
        "spatial_compression_ratio": config.space_stride,
        "temporal_compression_ratio": config.time_stride,
    }
    if not _describes(entry, config):
        raise UserError(
            "VAEConfig: diffusers can only describe strides of 2 (spatial, temporal or "
            "both in the encoder, both in the decoder) and one factor between the "
            f"decoder's widths, got {config}; write a single file instead."
        )
    return {**_DEFAULTS, **entry}


def _describes(entry: dict[str, Any], config: VAEConfig) -> bool:
    try:
        found = from_diffusers(entry)
    except (UserError, ValueError):
        return False
    return replace(found, decode_noise_space=config.decode_noise_space) == config


def _stride_of_type(name: str) -> Stride:
    known = {kind: stride for stride, kind in _TYPES.items()}
    if name not in known:
        raise _unfit("downsample_type", " or ".join(known), repr(name))
    return known[name]


def _unfit(name: str, expected: str, got: str) -> UserError:
    return UserError(
        f"VAE config {name}: expected {expected}, got {got}; this autoencoder has no "
        "other form."
    )
