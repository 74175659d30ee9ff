"""One file to another: splats, checkpoints of LTX-Video, and their adapters.

Splats: the suffix of --target names the format. .ply, compressed .ply, .spz and .splat
are read, .ply, .spz and .splat are written. Checkpoints: a single .safetensors file
becomes a diffusers folder and back (the transformer; a folder does not tell its
--config.rope_time). Adapters: a .safetensors file of any form becomes one for diffusers
or ComfyUI (--config.layout), or is merged into the checkpoint --base.

python -m aw_jax.launch.convert --source=splat.ply --target=splat.spz
python -m aw_jax.launch.convert --source=lora.safetensors --target=comfy.safetensors \
    --config.layout=comfyui
python -m aw_jax.launch.convert --source=lora.safetensors --base=base.safetensors \
    --target=merged.safetensors
"""

import dataclasses
from pathlib import Path
from typing import Literal

from absl import flags

from aw_jax.core.errors import UserError
from aw_jax.launch import app
from aw_jax.models.ltx import conversion
from aw_jax.models.ltx.config import RopeTime
from aw_jax.models.ltx.lora_pairs import is_adapter
from aw_jax.models.ltx.weights import Layout
from aw_jax.restoration.adapter_files import PROMPT
from aw_jax.runs.progress import say
from aw_jax.splat import files

flags.DEFINE_string("source", None, "The file or diffusers folder to read.")
flags.DEFINE_string("base", None, "The checkpoint that an adapter is merged into.")
flags.DEFINE_string("target", None, "The file to write; one that is there is replaced.")
LAYOUTS: dict[str, Layout] = {"diffusers": "diffusers", "comfyui": "lightricks"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """What is kept, and what a file does not say."""

    degree: int = 3
    """Splats: harmonics beyond this degree are left out."""
    layout: Literal["diffusers", "comfyui"] = "diffusers"
    """Adapters: whose names are written; diffusers' serve peft as well."""
    rope_time: RopeTime | None = None
    """Diffusers folders: causal (0.9.5, 13B) or plain."""


def run(config: ConvertConfig) -> None:
    """Writes --target, whole or not at all."""
    source, target = app.existing("source"), Path(app.required("target"))
    if not 0 <= config.degree <= 3:
        raise UserError(f"--config.degree={config.degree}: expected 0 to 3.")
    weights = source.is_dir() or source.suffix == ".safetensors"
    if not weights and flags.FLAGS.base is not None:
        raise UserError("--base is for adapters; --source is none.")
    _check_target(target, [source, *_base()], folder=weights)
    try:
        (convert_weights if weights else convert_splat)(source, target, config)
    except OSError as error:
        raise UserError(f"--target={target}: cannot be written ({error}).") from error


def convert_weights(source: Path, target: Path, config: ConvertConfig) -> None:
    """Reads a checkpoint or an adapter and writes it in the other form."""
    if source.is_file() and is_adapter(source):
        _convert_adapter(source, target, config)
    elif _base():
        raise UserError(f"--base is for adapters; {source} is none.")
    elif source.is_file():
        _check_suffix(target, "")
        conversion.single_to_folder(source, target)
    elif config.rope_time is None:
        raise UserError(
            f"{source}: a diffusers folder does not tell --config.rope_time; pass "
            "causal (0.9.5, 13B) or plain."
        )
    else:
        _check_suffix(target, ".safetensors")
        conversion.folder_to_single(source, target, rope_time=config.rope_time)
    say(f"{target}: written; it carries the licence of {source.name}.")


def _convert_adapter(source: Path, target: Path, config: ConvertConfig) -> None:
    base = _base()
    _check_suffix(target, "" if base and base[0].is_dir() else ".safetensors")
    if base:
        conversion.merge_adapter(base[0], source, target, besides=(PROMPT,))
    else:
        layout = LAYOUTS[config.layout]
        conversion.rename_adapter(source, target, layout=layout, besides=(PROMPT,))


def _base() -> list[Path]:
    return [] if flags.FLAGS.base is None else [app.existing("base")]


def _check_target(target: Path, sources: list[Path], *, folder: bool) -> None:
    """Refuses to write over what is read, and over folders that are in use."""
    taken = target.is_dir() and (not folder or any(target.iterdir()))
    if taken or (target.exists() and any(target.samefile(s) for s in sources)):
        raise UserError(
            f"--target={target}: expected the name of another file"
            + (" or of a new folder." if folder else ".")
        )


def _check_suffix(target: Path, suffix: str) -> None:
    is_file = target.suffix == ".safetensors"
    if is_file != bool(suffix) or (not suffix and target.is_file()):
        wanted = "a name that ends in .safetensors" if suffix else "a folder's name"
        raise UserError(f"--target={target}: expected {wanted}.")


def convert_splat(source: Path, target: Path, config: ConvertConfig) -> None:
    """Reads a splat of any kind and writes the kind that `target` names."""
    write = files.writer(target)
    splat = files.load_splat(source)
    splat = dataclasses.replace(splat, sh=splat.sh[:, : (config.degree + 1) ** 2])
    write(target, splat)
    megabytes = target.stat().st_size / 1e6
    say(f"{target}: {len(splat.means)} Gaussians, {megabytes:.3g} MB.")


PRESET = ConvertConfig()

if __name__ == "__main__":
    app.launch_file(run, PRESET)
