"""Tensor names of the LTX-Video autoencoder: ours, diffusers' and Lightricks' own.

Ours are paths of `VideoVAE`. Both upstream layouts hold the same tensors (226 at the
full size of 0.9.5); a single-file checkpoint uses Lightricks' names under the prefix
`vae.`, a diffusers folder uses diffusers'. Lightricks counts stages and what stands
between them (`_positions`) in one list, diffusers calls the deepest stage `mid_block`.

Kernels turn: convolutions from (o, i, t, y, x) to (t, y, x, i, o), linear layers from
(o, i) to (i, o); scales of noise from (c, 1, 1) to (c).
"""

import functools
import itertools
import re
from typing import Any, Literal

import jax
import numpy as np
from flax import nnx
from jaxtyping import Shaped

from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_config import Side, VAEConfig

Layout = Literal["diffusers", "lightricks"]
TreePath = tuple[Any, ...]

_SHARED = (
    (r"\.blocks\.(\d+)\.block\.", r".blocks.\1."),
    (r"\.kernel$", ".weight"),
    (r"\.(conv_in|conv_out|conv1|conv2)\.", r".\1.conv."),
    (r"\.embedder\.", ".time_embedder.timestep_embedder."),
    (r"\.table$", ".scale_shift_table"),
    (r"\.timestep_scale$", ".timestep_scale_multiplier"),
    (r"\.noise([12])$", r".per_channel_scale\1"),
)
"""(regex of our dotted path, replacement) of both layouts, applied in turn."""

_DIFFUSERS = (
    (r"\.shortcut\.conv\.", ".conv_shortcut.conv."),
    (r"\.shortcut\.", ".norm3."),
)

_LIGHTRICKS = (
    (r"\.shortcut\.conv\.", ".conv_shortcut."),
    (r"\.shortcut\.", ".norm3.norm."),
    (r"^decoder\.(time_embedder\.|scale_shift_table$)", r"decoder.last_\1"),
    (r"^latents_mean$", "per_channel_statistics.mean-of-means"),
    (r"^latents_std$", "per_channel_statistics.std-of-means"),
)

_NOISE = ("noise1", "noise2")


def tensor_names(config: VAEConfig, layout: Layout) -> dict[str, TreePath]:
    """The path in `VideoVAE(config)` of every tensor of `layout`, by its name there."""
    paths = [path for path, _ in nnx.to_flat_state(abstract_vae(config)[1])]
    return {_name(path, config, layout): path for path in paths}


@functools.cache
def abstract_vae(config: VAEConfig) -> tuple[nnx.GraphDef, nnx.State]:
    """`nnx.split(VideoVAE(config))` with shapes in place of arrays."""
    return jax.eval_shape(lambda: nnx.split(VideoVAE(config, rngs=nnx.Rngs(0))))


def upstream_from_ours(array: Shaped[np.ndarray, "..."], path: TreePath) -> np.ndarray:
    """The array of ours at `path` in the axis order of both upstreams."""
    if path[-1] in _NOISE:
        return array[:, None, None]
    if path[-1] != "kernel":
        return array
    return array.transpose(4, 3, 0, 1, 2) if array.ndim == 5 else array.T


def ours_from_upstream(array: Shaped[np.ndarray, "..."], path: TreePath) -> np.ndarray:
    """Inverse of `upstream_from_ours`."""
    if path[-1] in _NOISE:
        return array[:, 0, 0]
    if path[-1] != "kernel":
        return array
    return array.transpose(2, 3, 4, 1, 0) if array.ndim == 5 else array.T


def _name(path: TreePath, config: VAEConfig, layout: Layout) -> str:
    name = ".".join(map(str, path))
    of_layout = _DIFFUSERS if layout == "diffusers" else _LIGHTRICKS
    for pattern, replacement in _SHARED + of_layout:
        name = re.sub(pattern, replacement, name)
    if layout == "diffusers":
        return _with_diffusers_stages(name, config)
    return _with_lightricks_stages(name, config)


def _with_diffusers_stages(name: str, config: VAEConfig) -> str:
    deepest = len(config.encoder_strides)
    name = re.sub(rf"^encoder\.stages\.{deepest}\.", "encoder.mid_block.resnets.", name)
    name = re.sub(
        r"^encoder\.stages\.(\d+)\.", r"encoder.down_blocks.\1.resnets.", name
    )
    name = re.sub(r"^decoder\.stages\.0\.", "decoder.mid_block.", name)
    name = re.sub(
        r"^decoder\.stages\.(\d+)\.",
        lambda found: f"decoder.up_blocks.{int(found[1]) - 1}.",
        name,
    )
    name = name.replace(".blocks.", ".resnets.")
    name = re.sub(r"\.downsamples\.(\d+)\.block\.", r".down_blocks.\1.conv_out.", name)
    name = re.sub(r"\.upsamples\.(\d+)\.block\.", r".up_blocks.\1.conv_in.", name)
    inner = "" if config.downsampling == "stride" else "conv."
    name = re.sub(
        r"\.downsamples\.(\d+)\.conv\.",
        rf".down_blocks.\1.downsamplers.0.{inner}conv.",
        name,
    )
    return re.sub(
        r"\.upsamples\.(\d+)\.conv\.", r".up_blocks.\1.upsamplers.0.conv.conv.", name
    )


def _with_lightricks_stages(name: str, config: VAEConfig) -> str:
    for side, way in (("encoder", "down"), ("decoder", "up")):
        for index, (part, number) in enumerate(_positions(config, side)):
            block = f"{side}.{way}_blocks.{index}."
            at = f"{side}.{way}samples.{number}.{part}."
            if part == "stage":
                at = f"{side}.stages.{number}."
                block += "res_blocks." if side == "encoder" else ""
            elif part == "conv":
                strided = side == "encoder" and config.downsampling == "stride"
                block += "conv." if strided else "conv.conv."
            if name.startswith(at):
                return (block + name.removeprefix(at)).replace(
                    ".blocks.", ".res_blocks."
                )
    return name


def _positions(config: VAEConfig, name: str) -> list[tuple[str, int]]:
    """Lightricks' list of blocks: stages, and the conv or block between two of them."""
    side: Side = getattr(config, name)
    order = ("conv", "block") if name == "encoder" else ("block", "conv")
    positions: list[tuple[str, int]] = []
    for i, (before, after) in enumerate(itertools.pairwise(side.widths)):
        present = {
            "conv": side.folds or side.strides[i] != (1, 1, 1),
            "block": not side.folds and before != after,
        }
        positions += [("stage", i), *((part, i) for part in order if present[part])]
    return [*positions, ("stage", len(side.strides))]
