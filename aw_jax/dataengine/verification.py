"""Whether a set of clips is the frozen one.

On the platform that the frozen manifest was made on a set must have the same bits.
Elsewhere sums are rounded otherwise: thumbnails are compared, and figures say so.
"""

import dataclasses

import numpy as np

from aw_jax.core.errors import UserError
from aw_jax.dataengine.manifest import Entry, Manifest, pixels

VERDICT = "verdict.json"
"""Beside the shards, once they were compared: `Verdict` in words and figures."""
LEAST_PSNR = 45.0
"""Mean over clips, of thumbnails, in dB."""
LEAST_CLIP_PSNR = 30.0
"""Of each clip's thumbnails: less is another clip."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a set compares with the frozen one."""

    identical: bool
    psnr: float | None
    """Mean over clips of the thumbnails' PSNR, in dB; None where bits are the same."""
    platform: str
    frozen_platform: str

    def __str__(self) -> str:
        if self.identical:
            return "bit-identical to the frozen set"
        return (
            f"not bit-identical to the frozen set (made on {self.platform}, frozen on "
            f"{self.frozen_platform}; thumbnails agree to {self.psnr:.1f} dB)"
        )


def compare(found: Manifest, frozen: Manifest) -> Verdict:
    """Whether a set is the frozen one.

    Raises:
        UserError: it is not: a clip is missing or too many, was made of something else,
            has other bits on the same platform, or looks different on another.
    """
    ours = {one.name: one for one in found.clips}
    theirs = {one.name: one for one in frozen.clips}
    _same_names(set(ours), set(theirs))
    pairs = [(ours[name], one) for name, one in theirs.items()]
    for mine, its in pairs:
        _same_making(mine, its)
    other = [mine.name for mine, its in pairs if mine.sha256 != its.sha256]
    same_platform = found.platform == frozen.platform
    if other and same_platform:
        raise UserError(
            f"{_some(other)}: other bits than the frozen ones, on the same platform "
            f"({found.platform}); use revision {frozen.versions.get('git')}, or make "
            "the shards again."
        )
    psnr = _agreement(pairs) if other else None
    return Verdict(
        identical=not other,
        psnr=psnr,
        platform=found.platform,
        frozen_platform=frozen.platform,
    )


def _same_names(ours: set[str], theirs: set[str]) -> None:
    if missing := sorted(theirs - ours):
        raise UserError(f"{_some(missing)}: in the manifest, but not among the clips.")
    if added := sorted(ours - theirs):
        raise UserError(f"{_some(added)}: among the clips, but not in the manifest.")


def _same_making(ours: Entry, theirs: Entry) -> None:
    for field in ("scene", "draw", "severities"):
        got, expected = getattr(ours, field), getattr(theirs, field)
        if got != expected:
            raise UserError(
                f"clip {ours.name}: expected {field} {expected} as in the manifest, "
                f"got {got}; make it again from the manifest."
            )


def _agreement(pairs: list[tuple[Entry, Entry]]) -> float:
    """Mean PSNR of thumbnails over clips, which must be high enough."""
    found = {a.name: _psnr(a.thumbnails, b.thumbnails) for a, b in pairs}
    if far := [name for name, value in found.items() if value < LEAST_CLIP_PSNR]:
        raise UserError(
            f"{_some(far)}: expected thumbnails within {LEAST_CLIP_PSNR:.0f} dB of the "
            f"frozen ones, got {found[far[0]]:.1f} dB."
        )
    mean = float(np.mean(list(found.values())))
    if mean < LEAST_PSNR:
        raise UserError(
            f"the set: expected thumbnails within {LEAST_PSNR:.0f} dB of the frozen "
            f"ones, mean over clips, got {mean:.1f} dB."
        )
    return mean


def _psnr(ours: str, theirs: str) -> float:
    a, b = (pixels(text).astype(np.float64) / 255 for text in (ours, theirs))
    return float(-10 * np.log10(max(((a - b) ** 2).mean(), 1e-10)))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"clip {names[0]}{more}"
