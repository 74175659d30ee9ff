"""Pinhole cameras: OpenCV axes (x right, y down, z forward), pixel centres at +0.5."""

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float
from aw_jax.core.pytrees import pytree, replace, static


@pytree
class Cameras:
    """Any batch of pinhole cameras that share one image size."""

    camera_from_world: Float[Array, "*v 4 4"]
    """Maps homogeneous world points to the camera's frame."""
    intrinsics: Float[Array, "*v 3 3"]
    """[[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in pixels."""
    width: int = static()
    height: int = static()

    def __getitem__(self, index: object) -> "Cameras":
        """The cameras at `index` of the leading axes."""
        return replace(
            self,
            camera_from_world=self.camera_from_world[index],
            intrinsics=self.intrinsics[index],
        )


def centers(cameras: Cameras) -> Float[Array, "*v 3"]:
    """Camera centres in the world.

    By the inverse, so that pose gradients hold off the manifold of rigid motions too.
    """
    return jnp.linalg.inv(cameras.camera_from_world)[..., :3, 3]


def project(
    cameras: Cameras, points: Float[Array, "p 3"]
) -> tuple[Float[Array, "*v p 2"], Float[Array, "*v p"]]:
    """Pixel positions and depths (z, world units) of world points."""
    rotation = cameras.camera_from_world[..., :3, :3]
    offset = cameras.camera_from_world[..., None, :3, 3]
    local = jnp.einsum("...ij,pj->...pi", rotation, points) + offset
    image = jnp.einsum("...ij,...pj->...pi", cameras.intrinsics, local)
    return image[..., :2] / image[..., 2:], local[..., 2]


def resized(cameras: Cameras, *, width: int, height: int) -> Cameras:
    """The same cameras with images of another size (fx and fy may part)."""
    scale = jnp.diag(jnp.asarray([width / cameras.width, height / cameras.height, 1.0]))
    intrinsics = scale.astype(cameras.intrinsics.dtype) @ cameras.intrinsics
    return replace(cameras, intrinsics=intrinsics, width=width, height=height)
