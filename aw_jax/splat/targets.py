"""What a splat is fitted to: images, their cameras, and how much each pixel counts."""

from aw_jax.core.arrays import Array, Bool, Float
from aw_jax.core.pytrees import pytree
from aw_jax.geometry.cameras import Cameras


@pytree
class Targets:
    """Images of one size; a capture of mixed sizes is a tuple of these."""

    images: Float[Array, "v h w 3"]
    """In [0, 1]."""
    cameras: Cameras
    """One camera an image, of the images' size."""
    weights: Float[Array, "v h w"] | None = None
    """0 where a pixel does not count: outside an undistorted photo, or masked; None:
    all 1."""
    masked: Bool[Array, "v h w"] | None = None
    """True where the image shows what is not of the place; its weight is 0. None:
    nowhere."""
