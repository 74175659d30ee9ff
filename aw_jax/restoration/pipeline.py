"""From pixels to pixels: artifact clip -> heatmap (LoRA1) -> restored clip (LoRA2)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float, Key
from aw_jax.core.errors import UserError
from aw_jax.core.keys import named
from aw_jax.core.pytrees import pytree, static
from aw_jax.flow.schedules import uniform
from aw_jax.flow.solver import euler
from aw_jax.models.ltx.patchify import latents_from_tokens, tokens_from_latents
from aw_jax.models.ltx.positions import coordinates
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.restoration.anchoring import (
    anchored_frames,
    reference_latents,
    reference_video,
)
from aw_jax.restoration.heatmap import full_video, null_video, scheduled_heatmap
from aw_jax.restoration.losses import Permissions
from aw_jax.restoration.method import MethodConfig, bind
from aw_jax.restoration.objective import Velocity
from aw_jax.restoration.ridge import Estimates, estimate
from aw_jax.restoration.triplet import doublet, target_slice, triplet


@pytree
class RestorationModels:
    """One frozen backbone under two adapters, and the video VAE."""

    vae: VideoVAE
    predictor: Transformer
    """The backbone with LoRA1."""
    restorer: Transformer
    """The same arrays with LoRA2."""
    prompt: Float[Array, "l t"]
    """Embedding of the one prompt of restoration."""
    ridge: Estimates | None = None
    """Where the paths start, for the source `ridge`."""
    method: MethodConfig = static()


@pytree
class Clip:
    """A broken clip between two photos."""

    artifact: Float[Array, "f h w 3"]
    """Renders in [0, 1], f = 8 m + 1."""
    first: Float[Array, "_ _ 3"]
    """The photo at frame 0, of the renders' size (`check_clip`)."""
    last: Float[Array, "_ _ 3"]
    """The photo at the last frame."""


SHORTEST = 9


def check_clip(clip: Clip) -> None:
    """Raises UserError unless the clip is long enough and its parts fit together."""
    frames, height, width, _ = clip.artifact.shape
    if frames < SHORTEST:
        raise UserError(
            f"The clip has {frames} frames, at least {SHORTEST} (8 n + 1) are needed: "
            "give a longer clip."
        )
    for name, photo in (("first", clip.first), ("last", clip.last)):
        if photo.shape != (height, width, 3):
            raise UserError(
                f"The {name} view is {photo.shape[1]} x {photo.shape[0]} pixels, the "
                f"clip is {width} x {height}: give photos of the clip's size."
            )


def predict_heatmap(
    models: RestorationModels, clip: Clip, key: Key[Array, ""]
) -> Float[Array, "f h w"]:
    """Where the clip is broken: 0 as it should be, 1 beyond use; 0 where anchored."""
    method = models.method
    artifact, seen = _encoded(models, clip)
    velocity = _bound(models, models.predictor, artifact)
    reference = tokens_from_latents(seen)
    known = artifact
    if models.ridge is not None:
        known = estimate(models.ridge.heatmap, seen, artifact)
    start = _start(method, known, named(key, "heatmap"))

    def velocity_at(
        target: Float[Array, "1 n c"], t: Float[Array, ""]
    ) -> Float[Array, "1 n c"]:
        sequence = doublet(reference, target, t[None])
        return target_slice(sequence, velocity(sequence))

    found = euler(velocity_at, start, uniform(method.steps))
    video = models.vae.decode(_grid(found, artifact))[0]
    anchored = anchored_frames(len(video), method.anchoring.trailing)
    return jnp.where(anchored[:, None, None], 0.0, video.mean(axis=-1).clip(0, 1))


def restore(
    models: RestorationModels,
    clip: Clip,
    heatmap: Float[Array, "f h w"],
    key: Key[Array, ""],
) -> Float[Array, "f h w 3"]:
    """The clip as it should look, in [0, 1] (Sec. 4.3)."""
    method = models.method
    shown = jnp.broadcast_to(heatmap[..., None], clip.artifact.shape)
    constant = _constant_heatmaps(clip.artifact.shape[:3], method)
    artifact, seen, *encoded = _encoded(models, clip, shown, *constant)
    velocity = _bound(models, models.restorer, artifact)
    reference = tokens_from_latents(seen)
    heat, full, null = map(tokens_from_latents, encoded)
    known = artifact
    if models.ridge is not None:
        known = estimate(models.ridge.clean, seen, artifact)
    start = _start(method, known, named(key, "restore"))

    def velocity_at(
        target: Float[Array, "1 n c"], t: Float[Array, ""]
    ) -> Float[Array, "1 n c"]:
        scheduled = scheduled_heatmap(
            heat,
            t[None],
            full=full[0],
            null=null[0],
            schedule=method.schedule,
        )
        sequence = triplet(reference, target, scheduled, t[None])
        return target_slice(sequence, velocity(sequence))

    found = euler(velocity_at, start, uniform(method.steps))
    latents = _grid(found, artifact)
    return _pixels(models, latents, artifact, clip.artifact).clip(0, 1)


def permissions(
    vae: VideoVAE, size: tuple[int, ...], method: MethodConfig
) -> Permissions:
    """Tokens of z_full and z_null for clips of `size` (frames, rows, columns)."""
    videos = jnp.stack(_constant_heatmaps(size, method))
    full, null = tokens_from_latents(vae.encode(videos))
    return Permissions(full=full, null=null)


def _constant_heatmaps(
    size: tuple[int, ...], method: MethodConfig
) -> tuple[Float[Array, "f h w 3"], Float[Array, "f h w 3"]]:
    frames, height, width = size
    white = full_video(frames, height, width, trailing=method.anchoring.trailing)
    return white, null_video(frames, height, width)


def positions(
    vae: VideoVAE,
    transformer: Transformer,
    size: tuple[int, ...],
    method: MethodConfig,
) -> Float[Array, "n 3"]:
    """Seconds, row and column of every token of latents of `size`."""
    config = vae.config
    frames, height, width = size
    return coordinates(
        frames,
        height,
        width,
        fps=method.fps,
        rope_time=transformer.config.rope_time,
        strides=(config.time_stride, config.space_stride, config.space_stride),
    )


def _bound(
    models: RestorationModels, transformer: Transformer, latents: Array
) -> Velocity:
    grid = positions(models.vae, transformer, latents.shape[1:4], models.method)
    offset = models.method.segment_offset
    return bind(transformer, prompt=models.prompt, coords=grid, segment_offset=offset)


def _encoded(
    models: RestorationModels, clip: Clip, *more: Float[Array, "f h w 3"]
) -> list[Float[Array, "1 n y x c"]]:
    """Latents of the artifact, of the reference (Eq. 1), and of `more` videos."""
    encode, anchoring = models.vae.encode, models.method.anchoring
    views = clip.artifact, clip.first, clip.last
    if anchoring.space == "pixel":
        reference = reference_video(*views, trailing=anchoring.trailing)
        return _one_by_one(encode, clip.artifact, reference, *more)
    artifact, *others = _one_by_one(encode, clip.artifact, *more)
    batched = [view[None] for view in views]
    return [artifact, reference_latents(encode, *batched, anchoring), *others]


def _one_by_one(
    function: Callable[[Array], Array], *inputs: Float[Array, "..."]
) -> list[Float[Array, "1 ..."]]:
    """A batch of one each: compiled once, and in memory one at a time."""
    found = jax.lax.map(lambda x: function(x[None])[0], jnp.stack(inputs))
    return [one[None] for one in found]


def _start(
    method: MethodConfig, known: Float[Array, "b n y x c"], key: Key[Array, ""]
) -> Float[Array, "b m c"]:
    """z_1: noise, or what is known of the target."""
    tokens = tokens_from_latents(known)
    if method.source == "noise":
        return jax.random.normal(key, tokens.shape, tokens.dtype)
    return tokens


def _grid(
    tokens: Float[Array, "1 m c"], like: Float[Array, "1 n y x c"]
) -> Float[Array, "1 n y x c"]:
    frames, height, width = like.shape[1:4]
    return latents_from_tokens(tokens, frames=frames, height=height, width=width)


def _pixels(
    models: RestorationModels,
    latents: Float[Array, "1 n y x c"],
    artifact: Float[Array, "1 n y x c"],
    pixels: Float[Array, "f h w 3"],
) -> Float[Array, "f h w 3"]:
    if not models.method.bypass:
        return models.vae.decode(latents)[0]
    ours, plain = _one_by_one(models.vae.decode, latents[0], artifact[0])
    return pixels + ours[0] - plain[0]
