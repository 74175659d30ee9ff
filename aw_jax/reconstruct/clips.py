"""Clips of the closed loop: rendered, restored, screened, turned into supervision."""

import dataclasses
from collections.abc import Callable, Sequence

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Bool, Float, Key
from aw_jax.core.pytrees import pytree, replace
from aw_jax.geometry.cameras import Cameras
from aw_jax.images.psnr import psnr
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.rasterize import render
from aw_jax.splat.targets import Targets


@pytree
class RenderedClip:
    """What the restorer is given: renders between two photos."""

    artifact: Float[Array, "f h w 3"]
    alpha: Float[Array, "f h w"]
    first: Float[Array, "h w 3"]
    """The photo of the start view, framed as the renders are; where it is masked, the
    render."""
    last: Float[Array, "h w 3"]
    """The photo of the end view."""
    cameras: Cameras
    """(f,) cameras of the trajectory; the ends are the two training views."""


@pytree
class RestoredClip:
    """What the restorer gives back."""

    frames: Float[Array, "f h w 3"]
    heatmap: Float[Array, "f h w"]


RestoreClip = Callable[[RenderedClip, Key[Array, ""]], RestoredClip]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScreenConfig:
    """Which restored clips are refused."""

    least_anchor_psnr: float = 15.0
    """PSNR that the restored ends must reach against the photos there."""
    least_coverage: float = 0.3
    """Mean alpha of the renders below which a clip shows mostly nothing."""


def render_clip(
    splat: Splat,
    trajectory: Cameras,
    *,
    first: Float[Array, "h w 3"],
    last: Float[Array, "h w 3"],
) -> RenderedClip:
    """The splat along a trajectory, with the photos of its two ends."""
    rendering = render(splat, trajectory)
    return RenderedClip(
        artifact=rendering.color.clip(0, 1),
        alpha=rendering.alpha,
        first=first,
        last=last,
        cameras=trajectory,
    )


def without_masked(
    clip: RenderedClip, first: Bool[Array, "h w"], last: Bool[Array, "h w"]
) -> RenderedClip:
    """The clip with the render in its photos, where these are masked.

    The ends of a clip are rendered by the photos' own cameras. What a mask hides is not
    of the place: a restorer that was shown it would paint it into the frames around.
    """
    return replace(
        clip,
        first=jnp.where(first[..., None], clip.artifact[0], clip.first),
        last=jnp.where(last[..., None], clip.artifact[-1], clip.last),
    )


def faults(
    clip: RenderedClip, restored: RestoredClip, config: ScreenConfig
) -> dict[str, float]:
    """What speaks against a restored clip, by name; empty if nothing does."""
    figures = {
        "first_psnr": float(psnr(restored.frames[0], clip.first)),
        "last_psnr": float(psnr(restored.frames[-1], clip.last)),
        "coverage": float(clip.alpha.mean()),
    }
    least = {
        "first_psnr": config.least_anchor_psnr,
        "last_psnr": config.least_anchor_psnr,
        "coverage": config.least_coverage,
    }
    found = {name: v for name, v in figures.items() if not v >= least[name]}
    if not bool(jnp.isfinite(restored.frames).all()):
        found["finite"] = 0.0
    return found


def pseudo_targets(
    clips: Sequence[tuple[RenderedClip, RestoredClip]], *, trailing: int
) -> tuple[Targets, ...]:
    """Restored frames as supervision: frames 1 .. f - trailing - 1 of every clip.

    The ends are photos and are not distilled; of the last `trailing` frames the model
    has seen no render (Eq. 1), so they are dropped too.
    """
    if not clips:
        return ()
    shown = slice(1, clips[0][0].artifact.shape[0] - trailing)
    cameras = [clip.cameras[shown] for clip, _ in clips]
    return (
        Targets(
            images=jnp.concatenate([restored.frames[shown] for _, restored in clips]),
            cameras=Cameras(
                camera_from_world=jnp.concatenate(
                    [camera.camera_from_world for camera in cameras]
                ),
                intrinsics=jnp.concatenate([camera.intrinsics for camera in cameras]),
                width=cameras[0].width,
                height=cameras[0].height,
            ),
        ),
    )
