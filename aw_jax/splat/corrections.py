"""What keeps a photo from being a render: its exposure, and the error of its pose.

    photo = A render(splat, D camera) + b

[A | b] maps colors (3x4; the exposure compensation of Inria's 3DGS), and D is a small
rigid motion of the camera's frame: it stands left of `camera_from_world`. Each training
photo has its own, learned with the splat. Nothing else is ever corrected: neither
generated views nor those that a splat is measured on.

Brighter exposures of a darker splat are the same photos. Of all these, the mean of the
exposures is held at the identity: the splat keeps the colors of the average photo.
"""

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Int
from aw_jax.core.pytrees import pytree, replace
from aw_jax.geometry.cameras import Cameras
from aw_jax.geometry.rotations import matrix_from_quat
from aw_jax.splat import optimizer
from aw_jax.splat.fit_config import FitConfig, LearningRates
from aw_jax.splat.optimizer import Moments


@pytree
class Corrections:
    """Those of any batch of photos."""

    exposures: Float[Array, "*n 3 4"] | None
    """[A | b] of every photo; None: colors are the splat's."""
    motions: Float[Array, "*n 6"] | None
    """D of every photo, a rotation vector (radians, while small) and a translation (of
    the scene's scale), in the camera's frame; None: poses are right."""


@pytree
class PhotoState:
    """What a fit has learned of its training photos."""

    corrections: Corrections
    moments: Moments


@pytree
class PhotoControls:
    """The photo of a step, and how far its corrections may go."""

    index: Int[Array, ""]
    """Among all training photos."""
    exposures_rate: Float[Array, ""]
    poses_rate: Float[Array, ""]


def untouched(count: int, config: FitConfig) -> PhotoState | None:
    """`count` photos that need no correction; None if the fit is to learn none."""
    if not config.corrects:
        return None
    corrections = Corrections(
        exposures=jnp.tile(jnp.eye(3, 4), (count, 1, 1))
        if config.correct_exposures
        else None,
        motions=jnp.zeros((count, 6)) if config.correct_poses else None,
    )
    return PhotoState(
        corrections=corrections, moments=optimizer.zero_moments(corrections)
    )


def of_photo(corrections: Corrections, index: Int[Array, ""]) -> Corrections:
    """The corrections of one photo, without a batch."""
    return jax.tree.map(lambda x: x[index], corrections)


def moved(
    cameras: Cameras, motion: Float[Array, " 6"], *, scene_scale: Float[Array, ""]
) -> Cameras:
    """The cameras after `motion` of their own frames: D camera_from_world."""
    quat = jnp.concatenate([jnp.ones(1), motion[:3] / 2])
    top = jnp.concatenate(
        [matrix_from_quat(quat), scene_scale * motion[3:, None]], axis=1
    )
    delta = jnp.concatenate([top, jnp.eye(4)[3:]])
    poses = jnp.matmul(delta, cameras.camera_from_world, precision="highest")
    return replace(cameras, camera_from_world=poses)


def exposed(
    color: Float[Array, "*b h w 3"], exposure: Float[Array, "3 4"]
) -> Float[Array, "*b h w 3"]:
    """The colors as a photo of that exposure shows them: A color + b."""
    gains, offset = exposure[:, :3], exposure[:, 3]
    return jnp.einsum("...j,ij->...i", color, gains, precision="highest") + offset


def followed(
    photos: PhotoState,
    gradient: Corrections,
    controls: PhotoControls,
    *,
    rates: LearningRates,
    step: Int[Array, ""],
) -> PhotoState:
    """One step of Adam, then exposures about their mean.

    Photos that the step did not see move on by their momentum.
    """
    old = photos.corrections
    if old.motions is not None and gradient.motions is not None:
        pulled = gradient.motions + rates.poses_weight_decay * old.motions
        gradient = replace(gradient, motions=pulled)
    learned = (
        (old.exposures, controls.exposures_rate),
        (old.motions, controls.poses_rate),
    )
    sizes = jax.tree.unflatten(
        jax.tree.structure(old), [rate for part, rate in learned if part is not None]
    )
    new, moments = optimizer.adam(old, gradient, photos.moments, sizes, step=step)
    if new.exposures is not None:
        new = replace(new, exposures=centred(new.exposures))
    return PhotoState(corrections=new, moments=moments)


def centred(exposures: Float[Array, "n 3 4"]) -> Float[Array, "n 3 4"]:
    """The exposures with their mean moved to the identity."""
    return exposures - jnp.mean(exposures, axis=0) + jnp.eye(3, 4)
