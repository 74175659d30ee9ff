"""Two folders of predictions and truths, matched by name.

What a folder holds is seen from its content: images, videos, folders of images, or
shards of clip records. Names match without their suffix, so that `a.mp4` may be
compared with `a/00000.png`...
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aw_jax.core.errors import UserError
from aw_jax.evaluate.stored import Stored, has_shards, stored_clips
from aw_jax.media import images, videos


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A prediction and its truth: images, videos, folders of images, stored clips."""

    name: str
    prediction: Path | Stored
    truth: Path | Stored


@dataclass(frozen=True, kw_only=True)
class Matched:
    """All pairs in the order of their names, and what found no partner."""

    pairs: tuple[Pair, ...]
    only_prediction: tuple[str, ...]
    only_truth: tuple[str, ...]


def match_images(prediction: Path, truth: Path) -> Matched:
    """Pairs of image files, or of clips where there are no image files.

    Raises:
        UserError: a folder is missing or empty, a name is twice or in one only.
    """
    return _match(prediction, truth, lambda path: _images(path) or _clips(path))


def match_clips(prediction: Path, truth: Path) -> Matched:
    """Pairs of clips; a folder that holds image files only is one clip.

    Either folder may hold shards of clip records instead.

    Raises:
        UserError: as `match_images`.
    """
    if _is_one_clip(prediction) and _is_one_clip(truth):
        pair = Pair(name=prediction.stem, prediction=prediction, truth=truth)
        return Matched(pairs=(pair,), only_prediction=(), only_truth=())
    return _match(prediction, truth, _clips, stored=True)


def _match(
    prediction: Path,
    truth: Path,
    list_items: Callable[[Path], list[Path]],
    *,
    stored: bool = False,
) -> Matched:
    left, right = (
        stored_clips(path)
        if stored and has_shards(path)
        else _by_name(flag, path, list_items)
        for flag, path in (("--pred", prediction), ("--gt", truth))
    )
    shared = sorted(left.keys() & right.keys())
    if not shared:
        raise UserError(
            f"--pred={prediction} and --gt={truth}: no name occurs in both, e.g. "
            f"{min(left)!r} and {min(right)!r}; files are matched by name."
        )
    return Matched(
        pairs=tuple(
            Pair(name=name, prediction=left[name], truth=right[name]) for name in shared
        ),
        only_prediction=tuple(sorted(left.keys() - right.keys())),
        only_truth=tuple(sorted(right.keys() - left.keys())),
    )


def _by_name(
    flag: str, folder: Path, list_items: Callable[[Path], list[Path]]
) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f"{flag}={folder}: expected a folder, found none.")
    found: dict[str, Path] = {}
    for path in list_items(folder):
        name = path.name if path.is_dir() else path.stem
        if name in found:
            raise UserError(
                f"{flag}={folder}: {found[name].name} and {path.name} share the name "
                f"{name!r}; remove one."
            )
        found[name] = path
    if not found:
        raise UserError(
            f"{flag}={folder}: expected images ({', '.join(images.SUFFIXES)}), videos, "
            "folders of images or shards of clips, found none."
        )
    return found


def _images(folder: Path) -> list[Path]:
    return videos.frame_files(folder)


def _clips(folder: Path) -> list[Path]:
    visible = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    return [
        p
        for p in visible
        if (p.is_dir() and _images(p)) or p.suffix.lower() in videos.SUFFIXES
    ]


def _is_one_clip(path: Path) -> bool:
    if path.is_file():
        return path.suffix.lower() in videos.SUFFIXES
    if not path.is_dir() or has_shards(path):  # contact sheets lie beside shards
        return False
    return bool(_images(path)) and not _clips(path)
