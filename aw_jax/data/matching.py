"""Feature matches between photos of known pose.

Known poses leave a feature one line to look on in another photo, so ambiguity is judged
among the features near that line only, and no pose is estimated from the matches. With
three to eight far views this finds several times the matches of a search that does not
know the poses, and it draws nothing at random.
"""

from dataclasses import dataclass

import numpy as np

from aw_jax.core.arrays import Bool, Float, Int
from aw_jax.data.epipolar import candidates
from aw_jax.data.features import Features

_SAME_PLACE = 3.0  # pixels: one feature with two orientations, not two


@dataclass(frozen=True, kw_only=True)
class MatchingConfig:
    """When two features are one point."""

    max_distance: float = 3.0
    """From the epipolar line, in pixels."""
    max_ratio: float = 0.7
    """Best angle between descriptors over the second best (Lowe's test)."""
    max_angle: float = 0.7
    """Between descriptors, in radians."""


def match(a: Features, b: Features, config: MatchingConfig) -> Int[np.ndarray, "m 2"]:
    """Index pairs (in a, in b) that are each other's best, and clearly so."""
    index_a, index_b, angle = _compared(a, b, config)
    to_b, clear_b = _best(index_a, index_b, angle, len(a.positions), b, config)
    to_a, clear_a = _best(index_b, index_a, angle, len(b.positions), a, config)
    ours = np.flatnonzero(clear_b)
    ours = ours[clear_a[to_b[ours]] & (to_a[to_b[ours]] == ours)]
    return np.stack([ours, to_b[ours]], axis=-1)


def _compared(
    a: Features, b: Features, config: MatchingConfig
) -> tuple[Int[np.ndarray, " c"], Int[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Pairs that the poses allow, and the angle between their descriptors."""
    index_a, index_b = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    alike = [np.empty(0, np.float32)]
    for rows, columns, near in candidates(a, b, max_distance=config.max_distance):
        row, column = np.nonzero(near)
        index_a.append(rows[row])
        index_b.append(columns[column])
        alike.append((a.descriptors[rows] @ b.descriptors[columns].T)[near])
    in_a, in_b = np.concatenate(index_a), np.concatenate(index_b)
    lengths = np.linalg.norm(a.descriptors, axis=-1)[in_a]
    lengths = lengths * np.linalg.norm(b.descriptors, axis=-1)[in_b]
    cosine = np.concatenate(alike) / np.maximum(lengths, 1)
    return in_a, in_b, np.arccos(np.clip(cosine, -1, 1))


def _best(
    index: Int[np.ndarray, " c"],
    other: Int[np.ndarray, " c"],
    angle: Float[np.ndarray, " c"],
    count: int,
    others: Features,
    config: MatchingConfig,
) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Each feature's best candidate (or -1), and whether it passes the ratio test."""
    order = np.lexsort((other, angle, index))
    index, other, angle = index[order], other[order], angle[order]
    _, first = np.unique(index, return_index=True)
    best, lowest = np.full(count, -1), np.full(count, np.inf)
    best[index[first]], lowest[index[first]] = other[first], angle[first]
    away = others.positions[other] - others.positions[best[index]]
    rival = np.linalg.norm(away, axis=-1) > _SAME_PLACE
    second = np.full(count, np.pi / 2)  # SIFT has no negative entry
    np.minimum.at(second, index[rival], angle[rival])
    clear = (lowest < config.max_angle) & (lowest < config.max_ratio * second)
    return best, clear
