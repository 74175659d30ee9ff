"""How far the convolutions of an autoencoder see: where tiles are exact."""

from typing import Literal

from aw_jax.models.ltx.vae_config import Side, VAEConfig


def reach(config: VAEConfig, side: Literal["encoder", "decoder"]) -> tuple[int, int]:
    """How near to a tile's edge its result may differ: in latents, time and space."""
    if side == "encoder":
        frames, pixels = (_encoder_reach(config.encoder, axis) for axis in (0, 1))
        # A tile's first latent frame holds one frame, not a whole group.
        frames += config.time_stride - 1
        return (
            -(-frames // config.time_stride),
            -(-pixels * config.patch // config.space_stride),
        )
    return _decoder_reach(config.decoder, 0), _decoder_reach(config.decoder, 1)


def _encoder_reach(side: Side, axis: int) -> int:
    """Frames before, or patches to each side of, those a latent is made of.

    From the latents to the pixels: a convolution adds its taps to one side (all but one
    of three in time, where it is causal), a stride multiplies.
    """
    tap = 2 if axis == 0 else 1
    far = tap * (1 + 2 * side.blocks[-1])
    for i in reversed(range(len(side.strides))):
        far += 0 if side.folds or side.widths[i] == side.widths[i + 1] else 2 * tap
        if side.folds or side.strides[i] != (1, 1, 1):
            stride = side.strides[i][axis]
            # In time a strided layer looks back from its group's last frame.
            far = far * stride + (tap if side.folds or axis else tap + 1 - stride)
        far += tap * 2 * side.blocks[i]
    return far + tap


def _decoder_reach(side: Side, axis: int) -> int:
    """Latents to each side of the one a pixel comes of, from the pixels inwards."""
    far = 1 + 2 * side.blocks[-1]
    for i in reversed(range(len(side.strides))):
        if side.folds or side.strides[i] != (1, 1, 1):
            far = -(-far // side.strides[i][axis]) + 1
        far += 0 if side.folds or side.widths[i] == side.widths[i + 1] else 2
        far += 2 * side.blocks[i]
    return far + 1
