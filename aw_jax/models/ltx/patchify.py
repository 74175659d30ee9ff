"""Latents to tokens and back: one token per latent pixel, row-major over (f, h, w)."""

from einops import rearrange

from aw_jax.core.arrays import Array, Float


def tokens_from_latents(latents: Float[Array, "b f h w c"]) -> Float[Array, "b n c"]:
    """The tokens of a latent video, n = f h w."""
    return rearrange(latents, "b f h w c -> b (f h w) c")


def latents_from_tokens(
    tokens: Float[Array, "b n c"], *, frames: int, height: int, width: int
) -> Float[Array, "b f h w c"]:
    """The latent video of `frames` x `height` x `width` that `tokens` came from."""
    return rearrange(tokens, "b (f h w) c -> b f h w c", f=frames, h=height, w=width)
