"""Prompts and what is shown -> frames.

canvas = noise, or the video to change noised to the first level, with all given
         images and clips encoded and put in
tokens = guided sampling from the canvas;   frames = decoded latents, cropped

Of two passes the first is smaller, and the second starts from its latents, upsampled;
the frames are then resized.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, Key, UInt8
from aw_jax.core.errors import UserError
from aw_jax.core.keys import named
from aw_jax.core.pytrees import pytree
from aw_jax.generation.config import GenerateConfig
from aw_jax.generation.shown import Shown
from aw_jax.images import resize
from aw_jax.images.quantise import quantise
from aw_jax.models.ltx import vae_sizes
from aw_jax.models.ltx.conditioning import Canvas, Given, Grid, canvas
from aw_jax.models.ltx.guided_sampling import Prompts, sample_steps
from aw_jax.models.ltx.latent_statistics import tone_mapped, upsampled
from aw_jax.models.ltx.patchify import latents_from_tokens
from aw_jax.models.ltx.sampling import begin, times
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.models.ltx.upsampler import LatentUpsampler
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_config import VAEConfig
from aw_jax.models.ltx.vae_tiling import Tiling, decode_tiled, encode_tiled
from aw_jax.runs.progress import progress


@pytree
class Encoded:
    """What the user showed, as latents."""

    given: tuple[Given, ...] = ()
    init: Float[Array, "1 f h w c"] | None = None
    """The video to change."""


def passes(config: GenerateConfig, codec: VAEConfig) -> list[GenerateConfig]:
    """What each pass samples: the size asked for, or first a size and then its double.

    Raises:
        UserError: nothing would be left of the first pass.
    """
    if config.second is None:
        return [config]
    stride, shrink = codec.space_stride, config.second.shrink
    height, width = (
        int(side * shrink) // stride * stride for side in (config.height, config.width)
    )
    if not height or not width:
        raise UserError(
            f"GenerateConfig: a first pass of {shrink:.2f} times {config.height} x "
            f"{config.width} is below the {stride} pixels of a latent."
        )
    first = dataclasses.replace(config, height=height, width=width, second=None)
    second = dataclasses.replace(
        first, height=2 * height, width=2 * width, sampling=config.second.sampling
    )
    return [first, second]


def encode(
    vae: VideoVAE, given: Sequence[Shown], video: Shown | None, config: GenerateConfig
) -> Encoded:
    """Images, clips and the video through the encoder, filled up to its sizes."""

    def latents(shown: Shown) -> Float[Array, "1 f h w c"]:
        whole = vae_sizes.pad(vae.config, shown.frames[None])
        frames, height, width = whole.shape[1:4]
        tiling = _tiling(config, latent_size(vae.config, (frames, height, width)))
        return _encoded(vae, whole.astype(config.precision), tiling)

    return Encoded(
        given=tuple(
            Given(latents=latents(shown), frame=shown.frame, strength=shown.strength)
            for shown in given
        ),
        init=None if video is None else latents(video),
    )


def latent_size(config: VAEConfig, size: tuple[int, int, int]) -> tuple[int, int, int]:
    """Frames, rows and columns of the latents of a video of `size`."""
    frames, height, width = vae_sizes.fitting_size(config, size)
    t, s = config.time_stride, config.space_stride
    return 1 + (frames - 1) // t, height // s, width // s


def levels(config: GenerateConfig, codec: VAEConfig) -> np.ndarray:
    """The noise levels that are visited, 0 at the end."""
    tokens = int(np.prod(latent_size(codec, config.size)))
    return times(config.sampling.sampler, tokens=tokens)


def start(
    encoded: Encoded,
    *,
    config: GenerateConfig,
    codec: VAEConfig,
    grid: Grid,
    key: Key[Array, ""],
) -> Canvas:
    """What sampling starts from.

    Raises:
        UserError: a first level below 1 without a video, or things given that clash.
    """
    shape = (1, *latent_size(codec, config.size), codec.latent_channels)
    noise = jax.random.normal(named(key, "noise"), shape)
    first = begin(noise, levels(config, codec), init=encoded.init)
    return canvas(first, encoded.given, grid=grid, key=named(key, "given"))


def sample(
    model: Transformer,
    begun: Canvas,
    prompts: Prompts,
    key: Key[Array, ""],
    *,
    config: GenerateConfig,
    codec: VAEConfig,
) -> Float[Array, "1 f h w c"]:
    """The latents of the video, with a bar over the steps."""
    total = len(levels(config, codec)) - 1
    tokens = begun.tokens
    with progress("sample", total) as bar:
        steps = sample_steps(model, begun, prompts, key, config=config.sampling)
        for done, tokens in enumerate(steps, start=1):
            tokens.block_until_ready()
            bar.update(done)
    frames, height, width = latent_size(codec, config.size)
    return latents_from_tokens(tokens, frames=frames, height=height, width=width)


@jax.jit
def upsample(
    model: LatentUpsampler, vae: VideoVAE, latents: Float[Array, "1 f h w c"]
) -> Float[Array, "1 f y x c"]:
    """What a second pass starts from, before it is noised; in the type of the model."""
    kind = model.final_conv.bias[...].dtype
    return upsampled(model, vae, latents.astype(kind)).astype(jnp.float32)


def decode(
    vae: VideoVAE,
    latents: Float[Array, "1 f h w c"],
    key: Key[Array, ""],
    *,
    config: GenerateConfig,
    sides: tuple[int, int] | None = None,
) -> UInt8[Array, "g i j 3"]:
    """The frames of a video of the config's size, resized to `sides` if given."""
    timestep = jnp.float32(config.decode.timestep)
    if vae.config.timestep_conditioning:
        scale = config.decode.noise
        latents = vae.mix_noise(latents, scale=scale, key=named(key, "mix"))
    latents = tone_mapped(latents, config.decode.tone_map)
    tiling = _tiling(config, latents.shape[1:4])
    latents = latents.astype(config.precision)
    video = _decoded(vae, latents, timestep, named(key, "decode"), tiling, sides)
    return video[0] if sides else vae_sizes.crop(video, config.size)[0]


def _tiling(config: GenerateConfig, latents: tuple[int, ...]) -> Tiling | None:
    return config.tiling if np.prod(latents) > config.untiled else None


@functools.partial(jax.jit, static_argnames="tiling")
def _encoded(
    vae: VideoVAE, video: Float[Array, "1 f h w 3"], tiling: Tiling | None
) -> Float[Array, "1 g y x c"]:
    if tiling is None:
        return vae.encode(video).astype(jnp.float32)
    return encode_tiled(vae, video, tiling).astype(jnp.float32)


@functools.partial(jax.jit, static_argnames=("tiling", "sides"))
def _decoded(
    vae: VideoVAE,
    latents: Float[Array, "1 g y x c"],
    timestep: Float[Array, ""],
    key: Key[Array, ""],
    tiling: Tiling | None,
    sides: tuple[int, int] | None,
) -> UInt8[Array, "1 f h w 3"]:
    inner = key if any(vae.config.decoder_noise) else None
    if tiling is None:
        video = vae.decode(latents, timestep=timestep, key=inner)
    else:
        video = decode_tiled(vae, latents, tiling, timestep=timestep, key=inner)
    if sides:
        video = resize.bilinear(video.clip(0, 1), height=sides[0], width=sides[1])
    return quantise(video)
