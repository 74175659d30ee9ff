"""From a request to frames: everything is checked first, then the networks take turns.

ready  = prepared(request, config)       reads headers, pictures and the autoencoder
frames = generated(ready, key)           T5, then the transformer, then the decoder
"""

import contextlib
import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import jax
import numpy as np

from aw_jax.core.arrays import Array, Float, Key, UInt8
from aw_jax.core.errors import UserError
from aw_jax.core.keys import named
from aw_jax.core.pytrees import replace
from aw_jax.flow import guidance
from aw_jax.generation import checkpoint, pipeline, shown, text
from aw_jax.generation.config import FPS, GenerateConfig
from aw_jax.generation.pipeline import Encoded
from aw_jax.generation.shown import Shown
from aw_jax.models.ltx import checkpoint_files
from aw_jax.models.ltx.checkpoint_files import Checkpoint
from aw_jax.models.ltx.conditioning import Grid
from aw_jax.models.ltx.config import TransformerConfig
from aw_jax.models.ltx.guided_sampling import Prompts
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.models.ltx.upsampler import LatentUpsampler
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.t5.prompts import PromptEmbeddings

Phase = Callable[[str], AbstractContextManager[None]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is wanted, and the files it is made with."""

    prompt: str
    negative: str
    model: Path
    """A single file, a diffusers pipeline or a folder of our own."""
    embeddings: Path
    """Folder of embedded prompts: T5 adds to it, and is not needed for those in it."""
    vae: Path | None = None
    """The autoencoder, where `model` has none."""
    t5: Path | None = None
    """T5 and its tokenizer; a pipeline has its own."""
    lora: tuple[str, ...] = ()
    """FILE[:SCALE]; several add up."""
    images: tuple[str, ...] = ()
    """PATH[@FRAME[:STRENGTH]]"""
    clips: tuple[str, ...] = ()
    """PATH[@FRAME[:STRENGTH]]"""
    video: Path | None = None
    """What is changed."""
    upsampler: Path | None = None
    """Between two passes: a file or a diffusers folder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pass:
    """One run of the sampler, and what it is shown in its own size."""

    config: GenerateConfig
    """With the checkpoint's own schedule."""
    given: list[Shown]
    video: Shown | None
    levels: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ready:
    """A request whose every part is there and fits the others."""

    config: GenerateConfig
    files: Checkpoint
    transformer: TransformerConfig
    vae: VideoVAE
    upsampler: LatentUpsampler | None
    lora: checkpoint.Adapters
    passes: list[Pass]
    fps: float
    words: list[str]
    t5: Path | None
    embeddings: Path
    embedded: PromptEmbeddings | None
    """Prompts that T5 is not needed for."""

    @property
    def levels(self) -> np.ndarray:
        """Those of all passes in turn; each ends at 0."""
        return np.concatenate([one.levels for one in self.passes])


def prepared(request: Request, config: GenerateConfig) -> Ready:
    """Reads what is small and checks all the rest; writes nothing.

    Raises:
        UserError: a file is missing or another than expected, or things do not fit.
    """
    files = checkpoint_files.find(request.model)
    lora = checkpoint.adapters(request.lora)
    transformer = checkpoint.check(files, lora, config)
    vae = checkpoint.vae(files, request.vae, config)
    checkpoint.check_codec(transformer, vae.config)
    upsampler = checkpoint.upsampler(request.upsampler, config, vae.config)
    passes = [
        _pass(index, checkpoint.scheduled(files, one), request, vae)
        for index, one in enumerate(pipeline.passes(config, vae.config))
    ]
    for one in passes:
        checkpoint.check_levels(files, one.levels)
        table = one.config.sampling.guidance
        guidance.skipped(table, one.levels, layers=transformer.layers)
    _check_start(passes)
    t5 = request.t5 or files.text
    words = text.texts(config, request.prompt, request.negative)
    embedded = _embedded(words, t5, request, config, transformer)
    return Ready(
        config=config,
        files=files,
        transformer=transformer,
        vae=vae,
        upsampler=upsampler,
        lora=lora,
        passes=passes,
        fps=_fps(config, passes[0].given, passes[0].video),
        words=words,
        t5=t5,
        embeddings=request.embeddings,
        embedded=embedded,
    )


def generated(
    ready: Ready, key: Key[Array, ""], *, phase: Phase = contextlib.nullcontext
) -> UInt8[np.ndarray, "f h w 3"]:
    """The frames of the video."""
    config = ready.config
    with phase("prompts"):
        found = ready.embedded or text.embedded(
            ready.words, t5=ready.t5, cache=ready.embeddings, config=config
        )
        prompts = text.prompts(found, width=ready.transformer.caption_channels)
    with phase("encode"):
        encoded = [
            pipeline.encode(ready.vae, one.given, one.video, one.config)
            for one in ready.passes
        ]
    with phase("load"):
        model = checkpoint.load(ready.files, ready.lora, config)
    with phase("sample"):
        latents = _sampled(ready, model, encoded, prompts, key)
    del model
    with phase("decode"):
        last = ready.passes[-1].config
        sides = (config.height, config.width) if ready.upsampler else None
        frames = pipeline.decode(ready.vae, latents, key, config=last, sides=sides)
        return np.asarray(jax.block_until_ready(frames))


def _sampled(
    ready: Ready,
    model: Transformer,
    encoded: list[Encoded],
    prompts: Prompts,
    key: Key[Array, ""],
) -> Float[Array, "1 f h w c"]:
    """The latents of the last pass, which begins with those of the first, upsampled."""

    def sampled(one: Pass, seen: Encoded, key: Key[Array, ""]) -> Array:
        fixed = {"config": one.config, "codec": ready.vae.config}
        begun = pipeline.start(seen, grid=_grid(ready), key=key, **fixed)
        return pipeline.sample(model, begun, prompts, key, **fixed)

    latents = sampled(ready.passes[0], encoded[0], key)
    for one, seen in zip(ready.passes[1:], encoded[1:], strict=True):
        init = pipeline.upsample(ready.upsampler, ready.vae, latents)
        latents = sampled(one, replace(seen, init=init), named(key, "second"))
    return latents


def _pass(index: int, config: GenerateConfig, request: Request, vae: VideoVAE) -> Pass:
    given = [shown.read("image", item, config.size) for item in request.images]
    given += [shown.read("clip", item, config.size) for item in request.clips]
    video = None
    if request.video is not None and index == 0:
        video = shown.read_video(request.video, config.size)
    levels = pipeline.levels(config, vae.config)
    return Pass(config=config, given=given, video=video, levels=levels)


def _embedded(
    words: list[str],
    t5: Path | None,
    request: Request,
    config: GenerateConfig,
    transformer: TransformerConfig,
) -> PromptEmbeddings | None:
    """The cached prompts where there is no T5, which otherwise is checked."""
    if t5 is not None:
        text.check(words, t5, config)
        return None
    if not request.embeddings.is_dir():
        raise UserError(
            "--t5 is missing; name the folder of T5 and its tokenizer, or with "
            "--embeddings that of the prompts it has embedded."
        )
    found = text.embedded(words, t5=None, cache=request.embeddings, config=config)
    text.prompts(found, width=transformer.caption_channels)
    return found


def _check_start(passes: list[Pass]) -> None:
    levels, video = passes[0].levels, passes[0].video
    if len(passes) > 1 and passes[1].levels[0] >= 1:
        raise UserError(
            "SecondPass.sampling would replace the first pass by noise: start below 1, "
            "as with sampler.skip_first."
        )
    if video is not None and levels[0] >= 1:
        raise UserError(
            "--video would be replaced by noise: start below 1, as with "
            "--config.sampling.sampler.start=0.7, or skip_first for distilled ones."
        )
    if video is None and levels[0] < 1:
        raise UserError(
            f"Sampling starts at level {levels[0]:.4g}, from a --video: name one, or "
            "set sampler.start to 1 and skip_first to 0."
        )


def _fps(config: GenerateConfig, given: list[Shown], video: Shown | None) -> float:
    told = [item.fps for item in (video, *given) if item is not None and item.fps]
    return config.fps or next(iter(told), FPS)


def _grid(ready: Ready) -> Grid:
    codec = ready.vae.config
    return Grid(
        fps=ready.fps,
        rope_time=ready.transformer.rope_time,
        strides=(codec.time_stride, codec.space_stride, codec.space_stride),
    )
