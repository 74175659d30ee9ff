"""Latent upsamplers on disk: Lightricks' single files and diffusers' folders.

Both hold the same tensors under the same names and describe them in the same words: a
file in its metadata, a folder in `config.json`. Kernels turn from (o, i, t, y, x), or
(o, i, y, x) where they see one frame, to (t, y, x, i, o).
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Shaped

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import safetensors_files as files
from aw_jax.models.ltx.upsampler import LatentUpsampler, UpsamplerConfig

WORDS = {
    "in_channels": "channels",
    "mid_channels": "width",
    "num_blocks_per_stage": "blocks",
    "dims": "dims",
    "spatial_upsample": "spatial",
    "temporal_upsample": "temporal",
}
"""Upstream's words, ours."""
CLASSES = ("LatentUpsampler", "LTXLatentUpsamplerModel")
"""What Lightricks and diffusers call it."""
TENSORS = "diffusion_pytorch_model.safetensors"


def load_upsampler(path: str | Path, *, dtype: str = "float32") -> LatentUpsampler:
    """The upsampler in a single file or a diffusers folder.

    Args:
        path: of the .safetensors file, or of a folder with its `config.json`.
        dtype: what parameters are stored as in memory.

    Raises:
        UserError: the file is unreadable or describes something else, or its tensors
            are not exactly those of the model.
    """
    path = Path(path)
    config, tensors = read_config(path), _tensors(path)
    names, shapes = tensor_shapes(config), files.tensor_shapes(tensors)
    files.check_names(tensors, found=shapes, expected=names)
    for name, shape in names.items():
        files.check_shape(tensors, name, shapes[name], shape)
    graphdef, state = _abstract(config)
    arrays = {}
    leaves = {_name(at): (at, leaf) for at, leaf in nnx.to_flat_state(state)}
    for name, tensor in files.iterate_tensors(tensors, names):
        at, leaf = leaves[name]
        arrays[at] = leaf.replace(jnp.asarray(_ours(tensor)).astype(dtype))
    return nnx.merge(graphdef, nnx.from_flat_state(arrays))


def save_upsampler(path: str | Path, model: LatentUpsampler) -> None:
    """Writes `model` as a single file in bfloat16."""
    shapes, tensors = tensor_shapes(model.config), {}
    for at, leaf in nnx.to_flat_state(nnx.state(model)):
        array = np.asarray(leaf.get_value().astype(jnp.bfloat16))
        tensors[_name(at)] = _theirs(array).reshape(shapes[_name(at)])
    words = {theirs: getattr(model.config, ours) for theirs, ours in WORDS.items()}
    config = json.dumps({"_class_name": CLASSES[0]} | words)
    files.save_tensors(path, tensors, metadata={"config": config})


def read_config(path: str | Path) -> UpsamplerConfig:
    """What the file or folder describes; no tensor is read.

    Raises:
        UserError: it describes no latent upsampler.
    """
    path = Path(path)
    try:
        found: dict[str, Any] = (
            json.loads((path / "config.json").read_text())
            if path.is_dir()
            else files.file_config(path)
        )
        if found.get("_class_name") in CLASSES:
            known = {WORDS[k]: v for k, v in found.items() if k in WORDS}
            return UpsamplerConfig(**known)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: no latent upsampler ({error}).") from None
    raise UserError(
        f"{path}: expected a latent upsampler (_class_name {' or '.join(CLASSES)} in "
        f"its config), got {found.get('_class_name')!r}."
    )


def tensor_shapes(config: UpsamplerConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a file, by its name there."""
    _, state = _abstract(config)
    return {
        _name(at): _their_shape(leaf.shape) for at, leaf in nnx.to_flat_state(state)
    }


def _abstract(config: UpsamplerConfig) -> tuple[nnx.GraphDef, nnx.State]:
    return jax.eval_shape(lambda: nnx.split(LatentUpsampler(config, rngs=nnx.Rngs(0))))


def _tensors(path: Path) -> Path:
    return path / TENSORS if path.is_dir() else path


def _name(at: tuple[Any, ...]) -> str:
    """Our path in upstream's words."""
    name = ".".join(map(str, at)).replace("kernel", "weight")
    return name.replace("upsampler.", "upsampler.0.")


def _their_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) != 5:
        return shape
    taps, rows, columns, inputs, outputs = shape
    return (outputs, inputs, *((taps,) if taps > 1 else ()), rows, columns)


def _theirs(array: Shaped[np.ndarray, "..."]) -> np.ndarray:
    return array.transpose(4, 3, 0, 1, 2) if array.ndim == 5 else array


def _ours(array: Shaped[np.ndarray, "..."]) -> np.ndarray:
    if array.ndim < 4:
        return array
    array = array[:, :, None] if array.ndim == 4 else array
    return array.transpose(2, 3, 4, 1, 0)
