"""Models by name: the preset in the package, or a folder of files.

vae.safetensors          the autoencoder
ridge.safetensors        the linear estimate, where the restorer starts at one
transformer.safetensors  the frozen backbone
predictor.safetensors    LoRA1
restorer.safetensors     LoRA2, with prompt and method
"""

import dataclasses
from pathlib import Path

import jax
from flax import nnx

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import config as ltx_config
from aw_jax.models.ltx import vae_config
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.models.ltx.transformer_files import load_transformer
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_files import load_vae
from aw_jax.nn.initialize import initialized
from aw_jax.restoration import adapter_files
from aw_jax.restoration.heatmap import CONSTANT
from aw_jax.restoration.method import MethodConfig
from aw_jax.restoration.pipeline import RestorationModels
from aw_jax.restoration.ridge import load_ridge

SHIPPED = Path(__file__).parent / "ltx_tiny"
VAE, TRANSFORMER = "vae.safetensors", "transformer.safetensors"
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
    vae = load_vae(folder / VAE)
    base = load_transformer(folder / TRANSFORMER, unroll=name == "ltx_tiny")
    sums = {
        "base": adapter_files.checksum(folder / TRANSFORMER),
        "vae": adapter_files.checksum(folder / VAE),
        "ridge": _checksum_if_there(folder / RIDGE),
    }
    adapted = {}
    for part, file in (("predictor", PREDICTOR), ("restorer", RESTORER)):
        path = folder / file
        adapted[part], prompt, conditions = adapter_files.load(path, base, part)
        adapter_files.check(path, conditions, transformer=base, codec=vae, **sums)
    ridge = None
    if conditions.method.source == "ridge":
        ridge = load_ridge(folder / RIDGE, vae=sums["vae"])
    return RestorationModels(
        vae=vae, prompt=prompt, ridge=ridge, method=conditions.method, **adapted
    )


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
