"""Compiles the kernels (*.cc) of a folder at first use; the library stays in a cache.

The headers beside this file are for all of them. The library's name is a hash of
everything that decides what it holds: sources, flags, CPU and jaxlib version.
It is written aside and renamed, so processes that start together all find a whole
library. `AW_JAX_CACHE` moves the cache, `AW_JAX_NO_NATIVE` switches all native kernels
off, `CXX` chooses the compiler.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import jax
import jaxlib

HEADERS = Path(__file__).parent
COMPILERS = ("g++", "clang++", "c++")
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared", "-pthread", "-ffp-contract=fast")
MATHS = (  # what -ffast-math holds except what breaks rounding by a magic number
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffinite-math-only",
    "-fno-signed-zeros",
    "-freciprocal-math",
)
AVX2 = ("-mavx2", "-mfma", "-mbmi", "-mbmi2", "-mlzcnt", "-mpopcnt")
AVX512 = (*AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl")


class BuildError(Exception):
    """Why there is no library, in one line."""


def register(folder: Path, names: Sequence[str], *maths: str) -> bool:
    """Makes `names` of the folder's library XLA calls; whether it could be built."""
    compiled = library(folder, *maths)
    if compiled is None:
        return False
    for name in names:
        handler = jax.ffi.pycapsule(getattr(compiled, name))
        jax.ffi.register_ffi_target(name, handler, platform="cpu")
    return True


@functools.cache
def library(folder: Path, *maths: str) -> ctypes.CDLL | None:
    """The loaded kernels; None, with one warning, where they cannot be built."""
    if os.environ.get("AW_JAX_NO_NATIVE"):
        return None
    try:
        return _load(folder, maths, find_compiler(), cpu_description())
    except (BuildError, OSError) as error:
        reason = " ".join(str(error).split())
        warnings.warn(
            f"The native kernels are off, the slower XLA ones are used: {reason}",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def find_compiler() -> str:
    """The C++ compiler to run: `CXX`, or the first of COMPILERS on the path."""
    wanted = os.environ.get("CXX")
    for name in (wanted,) if wanted else COMPILERS:
        if found := shutil.which(name):
            return found
    missing = wanted or "g++ or clang++"
    raise BuildError(f"no C++ compiler found ({missing}); install g++ to speed it up.")


def cpu_description() -> str:
    """Model and instruction sets of this CPU, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    kept: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "flags", "Features"):
            kept.setdefault(name.strip(), value.strip())
    return f"{platform.machine()} {kept}"


def machine_flags(cpu: str) -> tuple[str, ...]:
    """Lane width, and the instruction sets it needs, for a CPU of this description."""
    words = set(cpu.replace("'", " ").replace("}", " ").split())
    if all(f[2:] in words for f in ("-mavx2", "-mfma", "-mbmi1", "-mbmi2")):
        if all(f"avx512{part}" in words for part in ("f", "bw", "dq", "vl")):
            return ("-DAW_LANES=16", *AVX512, "-mprefer-vector-width=512")
        return ("-DAW_LANES=8", *AVX2)
    return ("-DAW_LANES=4",)


def cache_folder() -> Path:
    """Where compiled kernels live: `AW_JAX_CACHE`, else below the user's cache."""
    if chosen := os.environ.get("AW_JAX_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "aw_jax"


def _load(folder: Path, maths: Sequence[str], compiler: str, cpu: str) -> ctypes.CDLL:
    flags = (*FLAGS, *maths, *machine_flags(cpu))
    files = [p for p in folder.iterdir() if p.suffix in (".cc", ".h")]
    texts = [p.read_text() for p in sorted((*files, *HEADERS.glob("*.h")))]
    parts = (*texts, *flags, cpu, jaxlib.__version__)
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    path = cache_folder() / f"kernels-{key}.so"
    if path.exists():
        with contextlib.suppress(OSError):  # a damaged file is built anew
            return ctypes.CDLL(str(path))
    compile_to(path, folder, [compiler, *flags])
    return ctypes.CDLL(str(path))


def compile_to(path: Path, folder: Path, command: Sequence[str]) -> None:
    """Builds the folder by `command` (compiler, flags) and renames it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as aside:
        built = Path(aside) / path.name
        headers = ["-isystem", jax.ffi.include_dir(), "-I", str(HEADERS)]
        files = [*map(str, sorted(folder.glob("*.cc"))), "-o", str(built)]
        done = subprocess.run(
            [*command, *headers, *files], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BuildError(f"{command[0]} failed: {_first_error(done.stderr)}")
        built.replace(path)


def _first_error(log: str) -> str:
    lines = [line for line in log.splitlines() if "error" in line] or log.splitlines()
    return lines[0][:300] if lines else "no message"
