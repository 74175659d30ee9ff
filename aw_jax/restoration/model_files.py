"""Models by name: the preset in the package, or a folder of files.

vae.safetensors          the autoencoder
ridge.safetensors        the linear estimate, where the restorer starts at one
transformer.safetensors  the frozen backbone
predictor.safetensors    LoRA1
restorer.safetensors     LoRA2, with prompt and method

Backbone and autoencoder may be a public checkpoint in any form of checkpoint_files.py:
one file `transformer.safetensors` that holds both, or folders of diffusers. Adapters of
other programs do not say what they were trained with, so two more files must:

adapters.json            the fields of `Assumed`; {} for the paper's method
prompt.safetensors       the embedding of their prompt, a file of T5's embedding cache
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
from flax import nnx

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import checkpoint_files, vae_config
from aw_jax.models.ltx import config as ltx_config
from aw_jax.models.ltx.checkpoint_files import TRANSFORMER, VAE, Checkpoint
from aw_jax.models.ltx.config import RopeTime
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.models.ltx.transformer_files import load_transformer
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_files import load_vae
from aw_jax.nn.initialize import initialized
from aw_jax.restoration import adapter_files, foreign
from aw_jax.restoration.heatmap import CONSTANT
from aw_jax.restoration.method import MethodConfig
from aw_jax.restoration.pipeline import RestorationModels
from aw_jax.restoration.ridge import load_ridge

SHIPPED = Path(__file__).parent / "ltx_tiny"
RIDGE = "ridge.safetensors"
PREDICTOR, RESTORER = "predictor.safetensors", "restorer.safetensors"
PRESETS = ("ltx_tiny", "probe")


def load(name: str) -> RestorationModels:
    """The models of a preset or of a folder.

    Raises:
        UserError: an unknown name, a missing file, or files that do not fit.
    """
    if name == "probe":
        return probe()
    folder = SHIPPED if name == "ltx_tiny" else Path(name)
    if not folder.is_dir():
        raise UserError(
            f"model={name}: expected one of {', '.join(PRESETS)} or a folder with "
            f"{VAE}, {TRANSFORMER}, {PREDICTOR} and {RESTORER}; found neither."
        )
    files = checkpoint_files.find(folder)
    if files.vae is None:
        raise UserError(
            f"{files.transformer}: holds no autoencoder; expected {folder / VAE}."
        )
    vae = load_vae(files.vae)
    base = _base(folder, files, unroll=name == "ltx_tiny")
    base_sum = adapter_files.checksum(files.transformer)
    same = files.vae == files.transformer
    sums = {
        "base": base_sum,
        "vae": base_sum if same else adapter_files.checksum(files.vae),
        "ridge": _checksum_if_there(folder / RIDGE),
    }
    adapted = {}
    for part, file in (("predictor", PREDICTOR), ("restorer", RESTORER)):
        path = folder / file
        if foreign.is_foreign(path) and (folder / foreign.ASSUMED).is_file():
            adapted[part], prompt, method = foreign.load(path, base, part)
            continue
        adapted[part], prompt, conditions = adapter_files.load(path, base, part)
        adapter_files.check(path, conditions, transformer=base, codec=vae, **sums)
        method = conditions.method
    ridge = None
    if method.source == "ridge":
        ridge = load_ridge(folder / RIDGE, vae=sums["vae"])
    return RestorationModels(
        vae=vae, prompt=prompt, ridge=ridge, method=method, **adapted
    )


def _base(folder: Path, files: Checkpoint, *, unroll: bool) -> Transformer:
    """The backbone; the public ones in bfloat16, as they are stored and trained."""
    changes: dict[str, Any] = {"unroll": unroll}
    if files.transformer.is_dir():
        changes["rope_time"] = _rope_time(folder)
    described = checkpoint_files.described(
        files.transformer, rope_time=changes.get("rope_time")
    )
    if described.width >= ltx_config.LTX_2B.width:
        changes |= {"dtype": "bfloat16", "param_dtype": "bfloat16"}
    return load_transformer(files.transformer, **changes)


def _rope_time(folder: Path) -> RopeTime | None:
    """What a diffusers folder does not tell: the adapters were trained with one."""
    if foreign.is_foreign(folder / RESTORER):
        return foreign.assumed(folder).rope_time
    told = adapter_files.read_conditions(folder / RESTORER).rope_time
    return "causal" if told == "causal" else "plain"


def _checksum_if_there(path: Path) -> str:
    return adapter_files.checksum(path) if path.is_file() else "no file"


def probe(seed: int = 0) -> RestorationModels:
    """Two random layers and a random autoencoder, for tests of all around them."""
    codec = vae_config.PROBE
    channels = codec.latent_channels
    config = dataclasses.replace(
        ltx_config.PROBE, in_channels=channels, out_channels=channels
    )
    vae, transformer = initialized(
        lambda: (
            VideoVAE(codec, rngs=nnx.Rngs(seed)),
            Transformer(config, rngs=nnx.Rngs(seed + 1)),
        )
    )
    key = jax.random.key(seed)
    return RestorationModels(
        vae=vae,
        predictor=transformer,
        restorer=transformer,
        prompt=jax.random.normal(key, (1, config.caption_channels)),
        method=MethodConfig(source="artifact", bypass=True, steps=1, schedule=CONSTANT),
    )
