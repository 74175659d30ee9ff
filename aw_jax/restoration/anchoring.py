"""Decoupled Boundary Anchoring (Eq. 1): what is known to be clean, in one sequence.

A clip has f = 8 m + 1 frames. In the reference sequence frame 0 is the clean first
view, the last k frames are the clean last view repeated, every other frame is the
artifact render. k = 8 is one whole temporal chunk of the video VAE. The sequence is
built in pixel space and encoded once; the target sequence never holds anything clean.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Bool, Float

Encode = Callable[[Float[Array, "b f h w 3"]], Float[Array, "b n y x c"]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnchoringConfig:
    """How the reference sequence is made."""

    trailing: int = 8
    """k, the frames at the end that hold the last view."""
    space: Literal["pixel", "latent"] = "pixel"
    """Where views are put in; `latent` splices separate encodings (an ablation)."""

    def __post_init__(self) -> None:
        if self.trailing < 1:
            raise ValueError(
                f"AnchoringConfig.trailing must be positive, got {self.trailing}."
            )


def anchored_frames(frames: int, trailing: int) -> Bool[Array, " f"]:
    """True where a frame of the reference sequence is a clean view."""
    index = jnp.arange(frames)
    return (index == 0) | (index >= frames - trailing)


def reference_video(
    artifact: Float[Array, "*b f h w 3"],
    first: Float[Array, "*b h w 3"],
    last: Float[Array, "*b h w 3"],
    *,
    trailing: int,
) -> Float[Array, "*b f h w 3"]:
    """The reference sequence in pixels (Eq. 1)."""
    index = jnp.arange(artifact.shape[-4])[:, None, None, None]
    video = jnp.where(index == 0, first[..., None, :, :, :], artifact)
    end = index >= artifact.shape[-4] - trailing
    return jnp.where(end, last[..., None, :, :, :], video)


def reference_latents(
    encode: Encode,
    artifact: Float[Array, "b f h w 3"],
    first: Float[Array, "b h w 3"],
    last: Float[Array, "b h w 3"],
    config: AnchoringConfig,
) -> Float[Array, "b n y x c"]:
    """z_ref of Eq. 1, encoded once; spliced from three encodings in `latent` space."""
    if config.space == "pixel":
        video = reference_video(artifact, first, last, trailing=config.trailing)
        return encode(video)
    latents = encode(artifact)
    still = jnp.repeat(last[:, None], config.trailing + 1, axis=1)
    latents = latents.at[:, 0].set(encode(first[:, None])[:, 0])
    return latents.at[:, -1].set(encode(still)[:, -1])
