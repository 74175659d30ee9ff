"""Which simulated clips are kept: broken, but not beyond recognition."""

import dataclasses

import numpy as np

from aw_jax.core.arrays import Float


@dataclasses.dataclass(frozen=True, kw_only=True)
class GateConfig:
    """Bounds on a clip's figures."""

    least_psnr: float = 11.0
    """Mean PSNR of artifact frames against clean ones, in dB."""
    most_psnr: float = 34.0
    least_coverage: float = 0.6
    """Mean alpha of the splat."""
    least_light: float = 0.03
    """Mean of the darkest frame, clean or artifact."""
    least_contrast: float = 0.03
    """Standard deviation within the plainest clean frame."""
    least_clearance: float = 0.12
    """2nd percentile of the clean depth, over the median depth, in the closest frame:
    below it the camera stands in something."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipFigures:
    """What the gate looks at."""

    psnr: Float[np.ndarray, " f"]
    """Of each artifact frame against the clean one, in dB."""
    coverage: float
    light: float
    contrast: float
    clearance: float


def figures(
    clean: Float[np.ndarray, "f h w 3"],
    artifact: Float[np.ndarray, "f h w 3"],
    *,
    alpha: Float[np.ndarray, "f h w"],
    depth: Float[np.ndarray, "f h w"],
) -> ClipFigures:
    """Measures a clip; images in [0, 1], depth in world units."""
    error = ((clean - artifact) ** 2).mean(axis=(1, 2, 3))
    close = np.percentile(depth, 2, axis=(1, 2)).min()
    return ClipFigures(
        psnr=-10 * np.log10(np.maximum(error, 1e-10)),
        coverage=float(alpha.mean()),
        light=float(min(x.mean(axis=(1, 2, 3)).min() for x in (clean, artifact))),
        contrast=float(clean.std(axis=(1, 2, 3)).min()),
        clearance=float(close / np.median(depth)),
    )


def refusal(found: ClipFigures, config: GateConfig) -> str | None:
    """Why a clip is refused; None if it is kept."""
    mean = float(found.psnr.mean())
    checks = {
        "not finite": np.isfinite(mean),
        "camera inside something": found.clearance >= config.least_clearance,
        "too plain": found.contrast >= config.least_contrast,
        "too broken": mean >= config.least_psnr,
        "not covered": found.coverage >= config.least_coverage,
        "black frame": found.light >= config.least_light,
        "hardly broken": mean <= config.most_psnr,
    }
    return next((name for name, passed in checks.items() if not passed), None)
