"""The stages of training, each from files to a file."""

import itertools
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from flax import nnx

from aw_jax.core.arrays import Array, Key, PyTree
from aw_jax.core.errors import UserError
from aw_jax.core.keys import named
from aw_jax.data import crops, latents, records
from aw_jax.data.clips import ClipRecord, from_bytes
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.models.ltx.transformer_files import load_transformer, save_transformer
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_files import load_vae, save_vae
from aw_jax.nn import lora
from aw_jax.nn.initialize import initialized
from aw_jax.restoration import adapter_files, pipeline
from aw_jax.restoration.adapter_files import Conditions, Heatmaps
from aw_jax.restoration.foreign import embedded_prompt
from aw_jax.restoration.model_files import (
    PREDICTOR,
    RESTORER,
    RIDGE,
    TRANSFORMER,
    VAE,
)
from aw_jax.restoration.ridge import Estimates, Ridge, load_ridge, save_ridge
from aw_jax.restoration.taxonomy import PROMPTS, RESTORE
from aw_jax.runs.progress import progress
from aw_jax.train import codec
from aw_jax.train.config import TrainConfig
from aw_jax.train.denoising import (
    Context,
    LatentClips,
    Task,
    clip_weights,
    denoising_loss,
    labelled_clips,
    pixel_weights,
)
from aw_jax.train.held_out import refuse_held_out
from aw_jax.train.local_start import local_start
from aw_jax.train.loop import train
from aw_jax.train.principal_codec import principal_codec

STORED = "bfloat16"
MEASURED_BATCHES = 100
"""From which principal components and latent statistics are taken."""


def prompt_table(width: int) -> Array:
    """The tiny preset's text: one fixed random row per artifact type and `restore`."""
    return jax.random.normal(jax.random.key(0), (len(PROMPTS), width))


def restore_prompt(width: int) -> Array:
    """The one prompt of restoration, as the text input of width `width`."""
    row = PROMPTS.index(RESTORE)
    return prompt_table(width)[row : row + 1]


def train_codec(config: TrainConfig, folder: Path, key: Key[Array, ""]) -> Path:
    """Trains an autoencoder and writes vae.safetensors into `config.parts`."""
    refuse_held_out(config.data, first=config.shards)
    seed = int(jax.random.randint(named(key, "data"), (), 0, 2**30))
    choices = {
        "size": config.batch,
        "side": config.side,
        "heatmap_share": config.heatmap_share,
        "seed": seed,
        "first": config.shards,
    }
    data = crops.batches(config.data, **choices)
    vae = _fresh_codec(config, iter(data))
    graphdef, params, frozen = codec.split(vae)
    loss = codec.codec_loss(graphdef, config.objective)
    state = train(
        loss, params, frozen, iter(data), config=config.loop, folder=folder, key=key
    )
    vae = codec.join(graphdef, state.average, frozen)
    measured = itertools.islice(data, MEASURED_BATCHES)
    vae = codec.measure_statistics(vae, measured, config.whitening)
    path = Path(config.parts) / VAE
    save_vae(path, vae)
    return path


def _fresh_codec(config: TrainConfig, videos: Iterator[np.ndarray]) -> VideoVAE:
    """The autoencoder before its first step: random, or a principal component one."""
    vae = initialized(lambda: VideoVAE(config.vae, rngs=nnx.Rngs(0)))
    if config.start == "principal":
        return principal_codec(vae, itertools.islice(videos, MEASURED_BATCHES))
    return vae


def fit_ridge(config: TrainConfig, folder: Path, key: Key[Array, ""]) -> Path:
    """Fits both linear estimates in closed form, writes them into `config.parts`."""
    del folder, key
    refuse_held_out(config.data, first=config.shards)
    parts = Path(config.parts)
    vae = load_vae(parts / VAE)
    cache = _encoded(config, vae, parts, _first_clip(config).notes.get("label"))
    clean, heatmap = Ridge(config.penalty), Ridge(config.penalty)
    channels = _channels(config, vae)
    weigh = lambda batch: clip_weights(batch, config.denoising, channels)
    with progress("ridge", len(records.shards(cache)[: config.shards])) as bar:
        for done, found in enumerate(latents.one_pass(cache, first=config.shards), 1):
            batch = LatentClips(**jax.tree.map(jnp.asarray, found))
            _add(clean, heatmap, batch, weigh(batch))
            bar.update(done)
    path = parts / RIDGE
    estimates = Estimates(clean=clean.solve(), heatmap=heatmap.solve())
    save_ridge(path, estimates, vae=adapter_files.checksum(parts / VAE))
    return path


def _add(
    clean: Ridge, heatmap: Ridge, clips: LatentClips, weight: Array | None
) -> None:
    """Adds clips to the sums of both; only labelled ones to those of heatmaps."""
    clean.add(clips.reference, clips.artifact, clips.clean, weight)
    if clips.labelled.any():
        known = jax.tree.map(lambda part: part[clips.labelled], clips)
        heatmap.add(known.reference, known.artifact, known.heatmap)


def train_denoiser(config: TrainConfig, folder: Path, key: Key[Array, ""]) -> Path:
    """Trains the base or one adapter and writes it into `config.parts`."""
    refuse_held_out(config.data, first=config.shards)
    parts = Path(config.parts)
    vae = load_vae(parts / VAE)
    clip = _first_clip(config)
    cache = _encoded(config, vae, parts, clip.notes.get("label"))
    seed = int(jax.random.randint(named(key, "data"), (), 0, 2**30))
    found = latents.batches(
        cache,
        size=config.batch,
        seed=seed,
        first=config.shards,
        labelled=labelled_clips(config.denoising, _denoiser(config.task), config.batch),
    )
    data = found.map(lambda batch: LatentClips(**jax.tree.map(jnp.asarray, batch)))
    model, (rebuild, params, frozen) = _trainable(config, parts)
    context = _context(config, vae, model, clip.clean.shape[:3])
    state = train(
        denoising_loss(_denoiser(config.task), rebuild, config.denoising),
        params,
        (frozen, context),
        iter(data),
        config=config.loop,
        folder=folder,
        key=key,
    )
    return _saved(
        config, parts, rebuild(state.average, frozen), context, vae, clip.notes
    )


def _denoiser(task: str) -> Task:
    assert task in ("base", "predictor", "restorer"), task
    return task


def _first_clip(config: TrainConfig) -> ClipRecord:
    """The first clip, which must be labelled, for its size and label."""
    path = records.shards(config.data)[0]
    clip = from_bytes(records.read_shard(path)[0], where=f"{path}, record 0")
    if "label" not in clip.notes:
        raise UserError(
            f"{config.data}: the clips have no heatmaps; run the launcher label first."
        )
    return clip


def _encoded(config: TrainConfig, vae: VideoVAE, parts: Path, label: object) -> Path:
    """The folder of latents of the clips, made if it is not there yet.

    Its name tells the autoencoder, the clips and their label apart.
    """
    sum_ = adapter_files.checksum(parts / VAE)
    source = f"{Path(config.data).absolute()} {label}"
    target = parts / f"latents-{sum_[:8]}-{zlib.crc32(source.encode()):08x}"
    encode = jax.jit(vae.encode)
    latents.encode_folder(
        config.data,
        target,
        encode,
        codec=sum_,
        anchoring=config.denoising.method.anchoring,
        variants=config.variants,
        first=config.shards,
    )
    return target


def _trainable(
    config: TrainConfig, parts: Path
) -> tuple[Transformer, tuple[Callable[..., Any], PyTree, PyTree]]:
    """The model, and how it is built from (trained, frozen) arrays."""
    if config.task == "base":
        model = initialized(lambda: Transformer(config.transformer, rngs=nnx.Rngs(0)))
        graphdef, params, frozen = nnx.split(model, nnx.Param, ...)
        params, frozen = nnx.to_pure_dict(params), nnx.to_pure_dict(frozen)
        if config.start == "local":
            params = local_start(params, config.transformer)
    else:
        base = load_transformer(
            parts / TRANSFORMER,
            unroll=config.transformer.unroll,
            param_dtype=config.transformer.param_dtype,
            dtype=config.transformer.dtype,
            remat=config.transformer.remat,
        )
        adapter = config.adapter
        model = lora.attach(
            base,
            name=config.task,
            rank=adapter.rank,
            alpha=adapter.alpha,
            rngs=nnx.Rngs(0),
        )
        graphdef, params, frozen = lora.split(model, config.task)
    rebuild = lambda params, frozen: nnx.merge(graphdef, params, frozen)
    return model, (rebuild, params, frozen)


def _context(
    config: TrainConfig, vae: VideoVAE, model: Transformer, size: tuple[int, ...]
) -> Context:
    method = config.denoising.method
    grid = jax.eval_shape(vae.encode, jax.ShapeDtypeStruct((1, *size, 3), jnp.float32))
    shape = grid.shape[1:4]
    allowed = jax.jit(pipeline.permissions, static_argnums=(1, 2))(vae, size, method)
    f, y, x = shape
    spread = lambda tokens: rearrange(tokens, "(f y x) c -> f y x c", f=f, y=y, x=x)
    ridge = None
    if method.source == "ridge":
        parts = Path(config.parts)
        sum_ = adapter_files.checksum(parts / VAE)
        ridge = load_ridge(parts / RIDGE, vae=sum_)
    embedded = embedded_prompt(Path(config.parts))
    prompt = restore_prompt(model.config.caption_channels)
    return Context(
        prompt=prompt if embedded is None else jnp.asarray(embedded.rows),
        coords=spread(pipeline.positions(vae, model, shape, method)),
        full=spread(allowed.full),
        null=spread(allowed.null),
        ridge=ridge,
        channels=_channels(config, vae),
    )


def _channels(config: TrainConfig, vae: VideoVAE) -> Array | None:
    if config.denoising.errors == "latents":
        return None
    return pixel_weights(vae.latents_std[...])


def _saved(
    config: TrainConfig,
    parts: Path,
    model: Transformer,
    context: Context,
    vae: VideoVAE,
    notes: dict[str, Any],
) -> Path:
    if config.task == "base":
        save_transformer(parts / TRANSFORMER, model, dtype=STORED)
        return parts / TRANSFORMER
    label = notes["label"]
    started = config.denoising.method.source == "ridge"
    embedded = embedded_prompt(parts)
    conditions = Conditions(
        base=adapter_files.checksum(parts / TRANSFORMER),
        vae=adapter_files.checksum(parts / VAE),
        ridge=adapter_files.checksum(parts / RIDGE) if started else "",
        rope_time=model.config.rope_time,
        strides=(vae.config.time_stride, vae.config.space_stride),
        heatmaps=Heatmaps(net=label["net"], constant=label["constant"]),
        method=config.denoising.method,
        t5_mask=None if embedded is None else embedded.t5_mask,
    )
    path = parts / (PREDICTOR if config.task == "predictor" else RESTORER)
    prompt = np.asarray(context.prompt)
    adapter_files.save(
        path, model, config.task, prompt=prompt, conditions=conditions, dtype=STORED
    )
    return path
