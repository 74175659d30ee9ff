"""What a statistic of an artifact type may look at: a clean and a broken clip."""

import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.core.pytrees import pytree
from aw_jax.dataengine.artifacts.breaking import Broken
from aw_jax.dataengine.artifacts.subject import Subject
from aw_jax.geometry.cameras import Cameras


@pytree
class Seen:
    """One clip, rendered from the clean splat and from the broken one."""

    clean: Float[np.ndarray, "f h w 3"]
    """In [0, 1]."""
    broken: Float[np.ndarray, "f h w 3"]
    """In [0, 1]."""
    clean_alpha: Float[np.ndarray, "f h w"]
    broken_alpha: Float[np.ndarray, "f h w"]
    clean_depth: Float[np.ndarray, "f h w"]
    """z in the camera's frame, world units; 0 where nothing is seen."""
    broken_depth: Float[np.ndarray, "f h w"]
    cameras: Cameras
    """(f,) of the clip."""


def seen(subject: Subject, broken: Broken) -> Seen:
    """The clip of `subject` beside its broken one."""
    return Seen(
        clean=np.asarray(subject.clean.color),
        broken=broken.frames.astype(np.float32) / 255,
        clean_alpha=np.asarray(subject.clean.alpha),
        broken_alpha=broken.alpha,
        clean_depth=np.asarray(subject.clean.depth),
        broken_depth=broken.depth,
        cameras=subject.cameras,
    )
