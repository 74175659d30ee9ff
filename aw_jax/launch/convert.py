"""One splat file to another; the suffix of --target names the format.

.ply, compressed .ply, .spz and .splat are read, .ply, .spz and .splat are written.

python -m aw_jax.launch.convert --source=splat.ply --target=splat.spz
"""

import dataclasses
from pathlib import Path

from absl import flags

from aw_jax.core.errors import UserError
from aw_jax.launch import app
from aw_jax.runs.progress import say
from aw_jax.splat import files

flags.DEFINE_string("source", None, "The file to read.")
flags.DEFINE_string("target", None, "The file to write; one that is there is replaced.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """What is kept."""

    degree: int = 3
    """Harmonics beyond this degree are left out."""


def run(config: ConvertConfig) -> None:
    """Writes --target, whole or not at all."""
    source, target = app.existing("source"), Path(app.required("target"))
    if target.is_dir() or (target.exists() and target.samefile(source)):
        raise UserError(f"--target={target}: expected the name of another file.")
    if not 0 <= config.degree <= 3:
        raise UserError(f"--config.degree={config.degree}: expected 0 to 3.")
    try:
        convert_splat(source, target, config)
    except OSError as error:
        raise UserError(f"--target={target}: cannot be written ({error}).") from error


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
