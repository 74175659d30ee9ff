"""The autoencoder's shape in Lightricks' words.

The entry `vae` of a single file's metadata lists blocks: `res_x` is a stage, and
`compress_*` and `res_x_y` stand between two. The decoder's are listed from the pixels
and run from the end.

Source: `CausalVideoAutoencoder.from_config` of the ltx-video wheel.
"""

import itertools
from typing import Any

from aw_jax.core.errors import UserError
from aw_jax.models.ltx.vae_config import Side, Stride, VAEConfig

_STRIDES: dict[str, Stride] = {
    "compress_all": (2, 2, 2),
    "compress_space": (1, 2, 2),
    "compress_time": (2, 1, 1),
}
_NOTHING: Stride = (1, 1, 1)
_FIXED = {
    # name: (what this autoencoder does, what the wheel takes a missing field for)
    "dims": (3, None),
    "norm_layer": ("pixel_norm", "group_norm"),
    "latent_log_var": ("uniform", "per_channel"),
    "use_quant_conv": (False, True),
    "causal_decoder": (False, False),
    "normalize_latent_channels": (False, False),
    "spatial_padding_mode": ("zeros", "zeros"),
}
Block = tuple[str, dict[str, Any]]


def from_lightricks(entry: dict[str, Any]) -> VAEConfig:
    """The configuration that the entry `vae` of a single file's metadata describes.

    Raises:
        UserError: it says something that this autoencoder does not do.
    """
    for name, (expected, default) in _FIXED.items():
        if (got := entry.get(name, default)) != expected:
            raise _unfit(name, repr(expected), repr(got))
    lists = {
        side: _blocks(entry, side) for side in ("encoder_blocks", "decoder_blocks")
    }
    down = _side(
        lists["encoder_blocks"], entry.get("encoder_base_channels", 128), "down"
    )
    up = _side(lists["decoder_blocks"], entry.get("decoder_base_channels", 128), "up")
    noise = [
        bool(block.get("inject_noise"))
        for name, block in reversed(lists["decoder_blocks"])
        if name == "res_x"
    ]
    return VAEConfig(
        latent_channels=entry["latent_channels"],
        patch=entry.get("patch_size", 1),
        encoder_widths=down.widths,
        encoder_blocks=down.blocks,
        encoder_strides=down.strides,
        decoder_widths=up.widths[::-1],
        decoder_blocks=up.blocks[::-1],
        decoder_strides=up.strides[::-1],
        downsampling="fold" if down.folds else "stride",
        upsampling="fold" if up.folds else "plain",
        timestep_conditioning=entry.get("timestep_conditioning", False),
        decoder_noise=tuple(noise) if any(noise) else (),
    )


def to_lightricks(config: VAEConfig) -> dict[str, Any]:
    """The entry `vae` of a single file's metadata."""
    fixed = {name: expected for name, (expected, _) in _FIXED.items()}
    noise = config.decoder_noise or (False,) * len(config.decoder_blocks)
    return fixed | {
        "_class_name": "CausalVideoAutoencoder",
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": config.latent_channels,
        "patch_size": config.patch,
        "scaling_factor": 1.0,
        "timestep_conditioning": config.timestep_conditioning,
        "encoder_base_channels": config.encoder_widths[0],
        "decoder_base_channels": config.decoder_widths[-1],
        "encoder_blocks": _listed(config.encoder, "down"),
        "decoder_blocks": _listed(_from_pixels(config.decoder), "up", noise[::-1]),
    }


def _blocks(entry: dict[str, Any], name: str) -> list[Block]:
    """The list of blocks; 0.9.0 has one for both sides, and numbers for settings."""
    found = entry.get(name, entry.get("blocks"))
    if not found:
        raise _unfit(name, "a list of blocks", repr(found))
    settings = lambda it: {"num_layers": it} if isinstance(it, int) else it
    return [(kind, settings(it)) for kind, it in found]


def _side(blocks: list[Block], base: int, way: str) -> Side:
    """Stages and gaps from the pixels inwards: widths grow, whichever way it runs."""
    depths, gaps = [], [[]]
    for name, settings in blocks:
        if name == "res_x":
            depths.append(settings["num_layers"])
            gaps.append([])
        else:
            gaps[-1].append((name, settings))
    if not depths or gaps[0] or gaps[-1]:
        raise _unfit(f"blocks ({way})", "a list from res_x to res_x", str(blocks))
    read = [_gap(gap, way) for gap in gaps[1:-1]]
    kinds = {folds for _, _, folds in read if folds is not None}
    if len(kinds) > 1 or (True in kinds and None in {folds for *_, folds in read}):
        raise _unfit(f"blocks ({way})", "residual folds everywhere or nowhere", "both")
    grown = itertools.accumulate(
        (m for _, m, _ in read), lambda a, b: a * b, initial=base
    )
    return Side(
        widths=tuple(grown),
        blocks=tuple(depths),
        strides=tuple(stride for stride, _, _ in read),
        folds=True in kinds,
    )


def _gap(gap: list[Block], way: str) -> tuple[Stride, int, bool | None]:
    """(stride, how often wider, whether it folds) of what stands between two stages."""
    stride, wider, folds = _NOTHING, 1, None
    names = [name for name, _ in gap]
    for name, settings in gap:
        compress = name.removesuffix("_res") if way == "down" else name
        if name == "res_x_y":
            wider *= settings.get("multiplier", 2)
            folds = bool(folds)
        elif compress in _STRIDES:
            stride, residual = _STRIDES[compress], settings.get("residual", False)
            folds = name.endswith("_res") if way == "down" else residual
            wider *= (
                settings.get("multiplier", 2 if way == "down" else 1) if folds else 1
            )
        else:
            raise _unfit("blocks", f"res_x, res_x_y, {', '.join(_STRIDES)}", repr(name))
    plain_multiple = not folds and any(
        name != "res_x_y" and settings.get("multiplier", 1) != 1
        for name, settings in gap
    )
    # From the pixels: a conv, then what widens; the decoder runs them the other way.
    if (
        len(gap) > 2
        or "res_x_y" in names[:-1]
        or (folds and len(gap) > 1)
        or plain_multiple
    ):
        raise _unfit("blocks", "at most one compress_* and one res_x_y", str(gap))
    return stride, wider, folds


def _from_pixels(side: Side) -> Side:
    """The decoder's side in the encoder's order."""
    return Side(
        widths=side.widths[::-1],
        blocks=side.blocks[::-1],
        strides=side.strides[::-1],
        folds=side.folds,
    )


def _listed(side: Side, way: str, noise: tuple[bool, ...] = ()) -> list[Block]:
    """Lightricks' list of the blocks of a side, from the pixels."""
    words = {stride: name for name, stride in _STRIDES.items()}
    listed: list[Block] = []
    for i, (before, after) in enumerate(itertools.pairwise(side.widths)):
        listed.append(_stage(side.blocks[i], noise[i] if noise else None))
        stride, wider = side.strides[i], {"multiplier": after // before}
        if side.folds and way == "down":
            listed.append((f"{words[stride]}_res", wider))
        elif side.folds:
            listed.append((words[stride], {"residual": True} | wider))
        else:
            listed += [(words[stride], {})] if stride != _NOTHING else []
            listed += [("res_x_y", wider)] if before != after else []
    return [*listed, _stage(side.blocks[-1], noise[-1] if noise else None)]


def _stage(depth: int, noise: bool | None) -> Block:
    settings = {} if noise is None else {"inject_noise": noise}
    return "res_x", {"num_layers": depth} | settings


def _unfit(name: str, expected: str, got: str) -> UserError:
    return UserError(
        f"VAE config {name}: expected {expected}, got {got}; this autoencoder has no "
        "other form."
    )
