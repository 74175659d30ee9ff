"""Tensor names of the LTX-Video autoencoder: ours, diffusers' and Lightricks' own.

Ours are paths of `VideoVAE`. Both upstream layouts hold the same 226 tensors at full
size; a single-file checkpoint uses Lightricks' names under the prefix `vae.`, a
diffusers folder uses diffusers'. Lightricks counts stages and folds in one list (stage
i is 2 i, fold i is 2 i + 1), diffusers calls the deepest stage `mid_block`.

Kernels turn: convolutions from (o, i, t, y, x) to (t, y, x, i, o), linear layers from
(o, i) to (i, o).
"""

import re
from typing import Any, Literal

import jax
import numpy as np
from flax import nnx
from jaxtyping import Shaped

from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_config import VAEConfig

Layout = Literal["diffusers", "lightricks"]
TreePath = tuple[Any, ...]

_SHARED = (
    (r"\.blocks\.(\d+)\.block\.", r".blocks.\1."),
    (r"\.kernel$", ".weight"),
    (r"\.(conv_in|conv_out|conv1|conv2)\.", r".\1.conv."),
    (r"\.embedder\.", ".time_embedder.timestep_embedder."),
    (r"\.table$", ".scale_shift_table"),
    (r"\.timestep_scale$", ".timestep_scale_multiplier"),
)
"""(regex of our dotted path, replacement) of both layouts, applied in turn."""

_LIGHTRICKS = (
    (r"^decoder\.(time_embedder\.|scale_shift_table$)", r"decoder.last_\1"),
    (r"^latents_mean$", "per_channel_statistics.mean-of-means"),
    (r"^latents_std$", "per_channel_statistics.std-of-means"),
)


def tensor_names(config: VAEConfig, layout: Layout) -> dict[str, TreePath]:
    """The path in `VideoVAE(config)` of every tensor of `layout`, by its name there."""
    paths = [path for path, _ in nnx.to_flat_state(abstract_vae(config)[1])]
    return {_name(path, config, layout): path for path in paths}


def abstract_vae(config: VAEConfig) -> tuple[nnx.GraphDef, nnx.State]:
    """`nnx.split(VideoVAE(config))` with shapes in place of arrays."""
    return jax.eval_shape(lambda: nnx.split(VideoVAE(config, rngs=nnx.Rngs(0))))


def upstream_from_ours(array: Shaped[np.ndarray, "..."], path: TreePath) -> np.ndarray:
    """The array of ours at `path` in the axis order of both upstreams."""
    if path[-1] != "kernel":
        return array
    return array.transpose(4, 3, 0, 1, 2) if array.ndim == 5 else array.T


def ours_from_upstream(array: Shaped[np.ndarray, "..."], path: TreePath) -> np.ndarray:
    """Inverse of `upstream_from_ours`."""
    if path[-1] != "kernel":
        return array
    return array.transpose(2, 3, 4, 1, 0) if array.ndim == 5 else array.T


def _name(path: TreePath, config: VAEConfig, layout: Layout) -> str:
    name = ".".join(map(str, path))
    for pattern, replacement in _SHARED:
        name = re.sub(pattern, replacement, name)
    if layout == "diffusers":
        return _with_diffusers_stages(name, config)
    for pattern, replacement in _LIGHTRICKS:
        name = re.sub(pattern, replacement, name)
    return _with_lightricks_stages(name)


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
    return re.sub(
        r"\.(down|up)samples\.(\d+)\.conv\.",
        r".\1_blocks.\2.\1samplers.0.conv.conv.",
        name,
    )


def _with_lightricks_stages(name: str) -> str:
    def block(found: re.Match[str]) -> str:
        side, kind, number = found[1], found[2], int(found[3])
        way = "down" if side == "encoder" else "up"
        if kind != "stages":
            return f"{side}.{way}_blocks.{2 * number + 1}.conv."
        within = "res_blocks." if side == "encoder" else ""
        return f"{side}.{way}_blocks.{2 * number}.{within}"

    pattern = r"^(encoder|decoder)\.(stages|downsamples|upsamples)\.(\d+)\."
    return re.sub(pattern, block, name).replace(".blocks.", ".res_blocks.")
