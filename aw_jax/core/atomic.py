"""Files that are either whole or absent: written aside, synced, then renamed."""

import errno
import json
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aw_jax.core.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What a file system answers that has no room left."""


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Generator[Path, None, None]:
    """A temporary path beside `path`; renamed onto it if the block succeeds.

    Raises:
        UserError: the disk is full; `path` is as it was.
    """
    target = Path(path)
    mark = secrets.token_hex(4)  # a folder may be shared by machines of equal pids
    aside = target.with_name(f".{target.stem}.{mark}.tmp{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        _sync(aside)
        aside.replace(target)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"{target.parent}: no space is left for {target.name}; make room and start "
            "the same command again, which goes on from the files that are whole."
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes `data` to `path` atomically."""
    with replacing(path) as aside:
        aside.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` to `path` atomically, as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as indented JSON, atomically; NaN and infinity become null."""
    write_text(path, json.dumps(_finite(value), indent=2, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """The JSON value in `path`."""
    return json.loads(Path(path).read_text())


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
