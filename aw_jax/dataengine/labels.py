"""Heatmap labels of simulated pairs: LPIPS maps of artifact frames (method.md, 1).

Frames 0 and the last k are anchored: the model sees clean views there, so their
heatmaps are zero and are never computed. Several artifact clips share one clean
trajectory; its features are computed once and kept for the clips that follow.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Float, UInt8
from aw_jax.core.errors import UserError
from aw_jax.images.quantise import dequantise
from aw_jax.metrics.accumulators import Histogram, histogram_of
from aw_jax.models.lpips import heatmap, network, weights

KEPT_TRAJECTORIES = 2


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """What a heatmap is."""

    net: str = "st-lpips-vgg"
    anchored: int = 8
    """k: the last frames that are replaced by the clean last view."""
    constant: float | None = None
    """What maps are divided by; None takes the net's committed constant."""
    percentile: float = 99.5
    """Of the maps over the training set: how the constant was, or is, measured."""
    batch: int = 8
    """Frames that run through the net together."""


class Labeller:
    """Turns pairs of clips into distance maps, remembering the last clean ones."""

    def __init__(self, config: LabelConfig) -> None:
        self.config = config
        self._net = weights.load(config.net)
        self._clean: OrderedDict[bytes, list[network.Features]] = OrderedDict()

    def distances(
        self,
        clean: UInt8[np.ndarray, "f h w 3"],
        artifact: UInt8[np.ndarray, "_ _ _ 3"],
    ) -> Float[np.ndarray, "i h w"]:
        """Distance maps of the frames 1 .. f - k - 1, before any constant.

        Raises:
            UserError: the clips differ in size or have no frame that is not anchored.
        """
        seen = self._seen(clean, artifact)
        size = clean.shape[1:3]
        maps = [
            network.distance_map(self._net, a, b, size=size)
            for a, b in zip(
                self._clean_features(clean[seen]),
                self._features(artifact[seen]),
                strict=True,
            )
        ]
        return np.concatenate(maps)[: seen.stop - seen.start]

    def heatmaps(
        self,
        clean: UInt8[np.ndarray, "f h w 3"],
        artifact: UInt8[np.ndarray, "_ _ _ 3"],
    ) -> UInt8[np.ndarray, "f h w"]:
        """Heatmaps of a clip: 255 is the constant or more, anchored frames are 0."""
        seen = self._seen(clean, artifact)
        distances = self.distances(clean, artifact)
        out = np.zeros(clean.shape[:3], np.uint8)
        out[seen] = np.round(heatmap.scale(distances, constant=self.constant) * 255)
        return out

    @property
    def constant(self) -> float:
        """What maps are divided by."""
        if self.config.constant is not None:
            return self.config.constant
        return heatmap.stored_constant(self.config.net)

    def _seen(self, clean: np.ndarray, artifact: np.ndarray) -> slice:
        if clean.shape != artifact.shape:
            raise UserError(
                f"clip: clean is {clean.shape} and artifact {artifact.shape}; "
                "expected the same frames, height and width."
            )
        stop = len(clean) - self.config.anchored
        if stop < 2:
            raise UserError(
                f"clip of {len(clean)} frames: with labels.anchored="
                f"{self.config.anchored} no frame is left to label; expected at least "
                f"{self.config.anchored + 2}."
            )
        return slice(1, stop)

    def _clean_features(self, frames: np.ndarray) -> list[network.Features]:
        digest = hashlib.blake2b(frames.tobytes(), digest_size=16).digest()
        if digest not in self._clean:
            self._clean[digest] = self._features(frames)
        self._clean.move_to_end(digest)
        while len(self._clean) > KEPT_TRAJECTORIES:
            self._clean.popitem(last=False)
        return self._clean[digest]

    def _features(self, frames: np.ndarray) -> list[network.Features]:
        size = self.config.batch
        frames = np.pad(frames, ((0, -len(frames) % size), *[(0, 0)] * 3), mode="edge")
        return [
            network.features(
                self._net,
                dequantise(jnp.asarray(frames[i : i + size])),
                fed=heatmap.FED,
            )
            for i in range(0, len(frames), size)
        ]


def measure_constant(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]], *, config: LabelConfig
) -> tuple[float, Histogram]:
    """The percentile of the maps of `pairs` (clean, artifact), and all counts.

    Anchored frames are left out: they are zero by decision, not by measurement.
    """
    labeller = Labeller(config)
    counts = Histogram()
    for clean, artifact in pairs:
        counts += histogram_of(labeller.distances(clean, artifact))
    return counts.quantile(config.percentile / 100), counts
