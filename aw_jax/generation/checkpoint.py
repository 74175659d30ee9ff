"""A checkpoint for generation: its config and schedule first, its weights when needed.

The text encoder is done before the transformer is read, so the two largest networks are
never in memory together.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aw_jax.core.errors import UserError
from aw_jax.generation.config import GenerateConfig
from aw_jax.models.ltx import checkpoint_files
from aw_jax.models.ltx.checkpoint_files import Checkpoint
from aw_jax.models.ltx.config import TransformerConfig
from aw_jax.models.ltx.lora_files import check_pairs, load_adapters
from aw_jax.models.ltx.lora_pairs import read_pairs
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.models.ltx.transformer_files import load_transformer
from aw_jax.models.ltx.upsampler import LatentUpsampler
from aw_jax.models.ltx.upsampler_files import load_upsampler
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_config import VAEConfig
from aw_jax.models.ltx.vae_files import load_vae

Adapters = Sequence[tuple[Path, float]]


def vae(files: Checkpoint, other: Path | None, config: GenerateConfig) -> VideoVAE:
    """The autoencoder: `other` if named, else the checkpoint's own.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = other or files.vae
    if path is None:
        raise UserError(
            f"{files.transformer}: holds no autoencoder; name one with --vae."
        )
    return load_vae(path, dtype=config.precision)


def upsampler(
    path: Path | None, config: GenerateConfig, codec: VAEConfig
) -> LatentUpsampler | None:
    """What makes the latents of the first of two passes larger.

    Raises:
        UserError: one without the other, or an upsampler of something else.
    """
    if path is None and config.second is None:
        return None
    if path is None or config.second is None:
        raise UserError(
            "--upsampler goes with a recipe of two passes (GenerateConfig.second), "
            f"and such a recipe with it; got {path} and {config.second}."
        )
    model = load_upsampler(path, dtype=config.precision)
    channels, stride = model.config.channels, model.config.stride
    if channels != codec.latent_channels or stride != (1, 2, 2):
        raise UserError(
            f"{path}: expected an upsampler of {codec.latent_channels} channels, by 2 "
            f"in space alone, got {channels} and {stride} (time, rows, columns)."
        )
    return model


def adapters(flags: Sequence[str]) -> list[tuple[Path, float]]:
    """Files and scales of `--lora=FILE[:SCALE]`.

    Raises:
        UserError: no such file, or a scale that is no number.
    """
    return [_adapter(flag) for flag in flags]


def check(
    files: Checkpoint, lora: Adapters, config: GenerateConfig
) -> TransformerConfig:
    """The transformer's config, once its file and the adapters' are known to fit.

    Raises:
        UserError: they do not; nothing large has been read then.
    """
    described = checkpoint_files.described(
        files.transformer,
        rope_time=config.rope_time,
        dtype=config.precision,
        param_dtype=config.precision,
    )
    checkpoint_files.check_tensors(files.transformer, described)
    for path, _ in lora:
        check_pairs(path, read_pairs(path), described)
    return described


def check_codec(transformer: TransformerConfig, codec: VAEConfig) -> None:
    """Raises UserError unless the latents are those that the transformer knows."""
    if transformer.in_channels != codec.latent_channels:
        raise UserError(
            f"The transformer takes {transformer.in_channels} latent channels, the "
            f"autoencoder makes {codec.latent_channels}: use the one that belongs to "
            "it (--vae)."
        )


def load(files: Checkpoint, lora: Adapters, config: GenerateConfig) -> Transformer:
    """The transformer with its adapters."""
    changes: dict[str, Any] = {
        "dtype": config.precision,
        "param_dtype": config.precision,
    }
    if files.transformer.is_dir():
        changes["rope_time"] = config.rope_time
    model = load_transformer(files.transformer, **changes)
    return load_adapters(model, lora, "given") if lora else model


def scheduled(files: Checkpoint, config: GenerateConfig) -> GenerateConfig:
    """`config` with the schedule that the checkpoint names, if it names one.

    Raises:
        UserError: a schedule that we have not.
    """
    entry, _ = checkpoint_files.scheduler(files.transformer)
    if not entry or not config.own_schedule:
        return config
    sampler = config.sampling.sampler
    sampler = dataclasses.replace(sampler, **_schedule(files.transformer, entry))
    sampling = dataclasses.replace(config.sampling, sampler=sampler)
    return dataclasses.replace(config, sampling=sampling)


def check_levels(files: Checkpoint, levels: np.ndarray) -> None:
    """Raises UserError if a distilled checkpoint does not know one of the levels."""
    _, allowed = checkpoint_files.scheduler(files.transformer)
    if allowed is None:
        return
    near = np.abs(levels[:-1, None] - np.asarray(allowed)) < 1e-4  # they are rounded
    if not near.any(1).all():
        strange = levels[:-1][~near.any(1)]
        raise UserError(
            f"{files.transformer}: distilled for the noise levels {allowed}, got "
            f"{np.round(strange, 4).tolist()}: use its recipe, and skip_first to start "
            "lower."
        )


def _schedule(path: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """Fields of SamplerConfig from the metadata's `scheduler` (rf.py)."""
    kinds = {"Uniform": "uniform", "LinearQuadratic": "linear_quadratic"}
    kind = kinds.get(entry.get("sampler") or "Uniform")
    shifting = entry.get("shifting")
    if kind == "uniform" and shifting == "SD3":
        terminal = entry.get("target_shift_terminal")
        return {"schedule": "sd3", "terminal": terminal}
    if kind is None or shifting:
        raise UserError(
            f"{path}: names the schedule {entry.get('sampler')} shifted by {shifting}, "
            "which is not there: set --config.own_schedule=false."
        )
    return {"schedule": kind, "terminal": None}


def _adapter(flag: str) -> tuple[Path, float]:
    path, colon, scale = flag.rpartition(":")
    if Path(flag).exists() or not colon:
        path, scale = flag, "1"
    if not Path(path).is_file():
        raise UserError(f"--lora={flag}: there is no file {path}.")
    try:
        return Path(path), float(scale)
    except ValueError:
        raise UserError(
            f"--lora={flag}: expected FILE[:SCALE], got the scale {scale!r}."
        ) from None
