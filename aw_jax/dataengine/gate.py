"""Which simulated clips are kept: broken, but not beyond recognition."""

import dataclasses

import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.geometry.cameras import Cameras


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
    least_motion: float = 0.5
    """Degrees per frame (`motion`), mean over the clip."""
    most_motion: float = 8.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipFigures:
    """What the gate looks at."""

    psnr: Float[np.ndarray, " f"]
    """Of each artifact frame against the clean one, in dB."""
    coverage: float
    light: float
    contrast: float
    clearance: float
    motion: float


def figures(
    clean: Float[np.ndarray, "f h w 3"],
    artifact: Float[np.ndarray, "f h w 3"],
    *,
    alpha: Float[np.ndarray, "f h w"],
    depth: Float[np.ndarray, "f h w"],
    cameras: Cameras,
) -> ClipFigures:
    """Measures a clip; images in [0, 1], depth in world units, 0 for nothing."""
    depth = np.where(depth > 0, depth, np.inf)
    error = ((clean - artifact) ** 2).mean(axis=(1, 2, 3))
    close = np.percentile(depth, 2, axis=(1, 2)).min()
    return ClipFigures(
        psnr=-10 * np.log10(np.maximum(error, 1e-10)),
        coverage=float(alpha.mean()),
        light=float(min(x.mean(axis=(1, 2, 3)).min() for x in (clean, artifact))),
        contrast=float(clean.std(axis=(1, 2, 3)).min()),
        clearance=float(close / np.median(depth)),
        motion=motion(cameras, distance=float(np.median(depth))),
    )


def motion(cameras: Cameras, *, distance: float) -> float:
    """Degrees per frame that the camera turns or, if more, goes around what it sees.

    The angle of the rotation between neighbouring frames; the angle under which their
    centres appear from `distance` (world units). Means over the clip.
    """
    poses = np.asarray(cameras.camera_from_world, np.float64)
    turned = poses[1:, :3, :3] @ poses[:-1, :3, :3].swapaxes(-1, -2)
    cosines = (np.trace(turned, axis1=-2, axis2=-1) - 1) / 2
    steps = np.linalg.norm(np.diff(np.linalg.inv(poses)[:, :3, 3], axis=0), axis=-1)
    angles = np.arccos(np.clip(cosines, -1, 1)), np.arctan2(steps, distance)
    return float(np.degrees(max(angle.mean() for angle in angles)))


def refusal(found: ClipFigures, config: GateConfig) -> str | None:
    """Why a clip is refused; None if it is kept."""
    mean = float(found.psnr.mean())
    checks = {
        "not finite": np.isfinite(mean),
        "camera inside something": found.clearance >= config.least_clearance,
        "hardly moving": found.motion >= config.least_motion,
        "moving too fast": found.motion <= config.most_motion,
        "too plain": found.contrast >= config.least_contrast,
        "too broken": mean >= config.least_psnr,
        "not covered": found.coverage >= config.least_coverage,
        "black frame": found.light >= config.least_light,
        "hardly broken": mean <= config.most_psnr,
    }
    return next((name for name, passed in checks.items() if not passed), None)
