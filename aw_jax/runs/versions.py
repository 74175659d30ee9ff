"""What a result depends on: versions of the packages, the revision, the platform."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "aw_jax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "numpy",
    "opencv-python-headless",
    "pycolmap",
    "av",
)


def versions() -> dict[str, str | None]:
    """{name: version} of python, the platform, the git revision and the packages."""
    found: dict[str, str | None] = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "git": git_revision(),
    }
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def git_revision() -> str | None:
    """The project's commit, with `+changes` if tracked files differ from it."""
    here = Path(__file__).parent
    revision = _git(here, "rev-parse", "HEAD")
    if not revision:
        return None
    changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    return revision + ("+changes" if changed else "")


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
