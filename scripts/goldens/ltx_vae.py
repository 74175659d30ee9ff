"""Writes tests/golden/ltx_vae.npz: diffusers' LTX-Video autoencoder at probe size.

Weights and videos are drawn from a seed and the tensor's name, so the file holds only
some of the outputs. Also writes the names and shapes of every tensor of the full-size
autoencoders (0.9.0, 0.9.1, 0.9.5) in diffusers' and Lightricks' names, from models on
the meta device.

    python scripts/goldens/ltx_vae.py
"""

import json
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_ltx import AutoencoderKLLTXVideo
from ltx_video.models.autoencoders.causal_video_autoencoder import (
    CausalVideoAutoencoder,
)

GOLDEN = Path(__file__).parents[2] / "tests/golden/ltx_vae"
SEED = 20
FRAMES = {"0.9.0": (9,), "0.9.1": (9,), "0.9.5": (1, 9, 17)}
TIMESTEPS = (0.05, 0.4)
STATISTICS = ("mean-of-means", "std-of-means")

SHARED = {
    "patch_size": 4,
    "patch_size_t": 1,
    "encoder_causal": True,
    "decoder_causal": False,
    "spatial_compression_ratio": 32,
    "temporal_compression_ratio": 8,
}
_STRIDED = {
    "spatio_temporal_scaling": (True, True, True, False),
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": (4, 3, 3, 3, 4),
}
_UNFOLDED = {
    "decoder_spatio_temporal_scaling": (True,) * 3,
    "decoder_block_out_channels": (256, 512, 1024),
    "upsample_residual": (True,) * 3,
    "upsample_factor": (2, 2, 2),
    "timestep_conditioning": True,
}
DIFFUSERS = {
    "0.9.0": SHARED
    | _STRIDED
    | {
        "decoder_spatio_temporal_scaling": (True, True, True, False),
        "decoder_block_out_channels": (128, 256, 512, 512),
        "decoder_layers_per_block": (4, 3, 3, 3, 4),
        "decoder_inject_noise": (False,) * 5,
        "upsample_residual": (False,) * 4,
        "upsample_factor": (1,) * 4,
        "timestep_conditioning": False,
    },
    "0.9.1": SHARED
    | _STRIDED
    | _UNFOLDED
    | {
        "decoder_layers_per_block": (5, 6, 7, 8),
        "decoder_inject_noise": (True, True, True, False),
    },
    "0.9.5": SHARED
    | _UNFOLDED
    | {
        "down_block_types": ("LTXVideo095DownBlock3D",) * 4,
        "spatio_temporal_scaling": (True,) * 4,
        "downsample_type": ("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
        "block_out_channels": (128, 256, 512, 1024, 2048),
        "layers_per_block": (4, 6, 6, 2, 2),
        "decoder_layers_per_block": (5, 5, 5, 5),
        "decoder_inject_noise": (False,) * 4,
    },
}
"""`config.json` of the public diffusers folders, as far as it says something."""

_ENCODER = [
    ("res_x", {"num_layers": 4}),
    *[
        ("compress_all", {}),
        ("res_x_y", {}),
        ("res_x", {"num_layers": 3}),
    ]
    * 2,
    ("compress_all", {}),
    ("res_x", {"num_layers": 3}),
    ("res_x", {"num_layers": 4}),
]
_GROW = ("compress_all", {"residual": True, "multiplier": 2})
_LIGHTRICKS = {
    "_class_name": "CausalVideoAutoencoder",
    "dims": 3,
    "latent_channels": 128,
    "norm_layer": "pixel_norm",
    "patch_size": 4,
    "latent_log_var": "uniform",
    "use_quant_conv": False,
    "causal_decoder": False,
}
LIGHTRICKS = {
    # The decoder's blocks are listed from the pixels and run from the end.
    "0.9.0": _LIGHTRICKS | {"encoder_blocks": _ENCODER, "decoder_blocks": _ENCODER},
    "0.9.1": _LIGHTRICKS
    | {
        "encoder_blocks": _ENCODER,
        "decoder_blocks": [
            ("res_x", {"num_layers": 5, "inject_noise": True}),
            _GROW,
            ("res_x", {"num_layers": 6, "inject_noise": True}),
            _GROW,
            ("res_x", {"num_layers": 7, "inject_noise": True}),
            _GROW,
            ("res_x", {"num_layers": 8, "inject_noise": False}),
        ],
        "timestep_conditioning": True,
    },
    "0.9.5": _LIGHTRICKS
    | {
        "encoder_blocks": [
            ("res_x", {"num_layers": 4}),
            ("compress_space_res", {"multiplier": 2}),
            ("res_x", {"num_layers": 6}),
            ("compress_time_res", {"multiplier": 2}),
            ("res_x", {"num_layers": 6}),
            ("compress_all_res", {"multiplier": 2}),
            ("res_x", {"num_layers": 2}),
            ("compress_all_res", {"multiplier": 2}),
            ("res_x", {"num_layers": 2}),
        ],
        "decoder_blocks": [
            ("res_x", {"num_layers": 5, "inject_noise": False}),
            *[_GROW, ("res_x", {"num_layers": 5, "inject_noise": False})] * 3,
        ],
        "timestep_conditioning": True,
    },
}
"""The entry `vae` of a single file's metadata, as far as it says something."""


def tiny_diffusers(layout: str) -> dict[str, Any]:
    """The stages of `layout` a sixteenth as wide (or narrower), of depth one."""
    config = DIFFUSERS[layout]
    folds = layout == "0.9.5"
    return config | {
        "latent_channels": 8,
        "block_out_channels": (8, 16, 32, 64, 128) if folds else (8, 16, 32, 32),
        "decoder_block_out_channels": (8, 16, 32, 32)
        if layout == "0.9.0"
        else (16, 32, 64),
        "layers_per_block": (1,) * len(config["layers_per_block"]),
        "decoder_layers_per_block": (1,) * len(config["decoder_layers_per_block"]),
    }


def tiny_lightricks(layout: str) -> dict[str, Any]:
    """The same in Lightricks' words."""
    config = LIGHTRICKS[layout]

    def shallow(blocks: list[tuple[str, dict]]) -> list[tuple[str, dict]]:
        one = lambda it: {k: 1 if k == "num_layers" else v for k, v in it.items()}
        return [(name, one(it)) for name, it in blocks]

    return config | {
        "latent_channels": 8,
        "encoder_base_channels": 8,
        "decoder_base_channels": 8,
        "encoder_blocks": shallow(config["encoder_blocks"]),
        "decoder_blocks": shallow(config["decoder_blocks"]),
    }


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The weights of tensor `name`, or the video or latents of that name."""
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
    if name.startswith("video"):
        return rng.random(shape, dtype=np.float32)
    if name.endswith("timestep_scale_multiplier"):
        return np.asarray(1000, np.float32)
    values = rng.standard_normal(shape, dtype=np.float32)
    if name == "latents_std":
        return 0.5 + np.abs(values)
    if not name.endswith(("weight", "bias", "table", "mean")):
        return values
    fan = np.prod(shape[1:]) if name.endswith("weight") else 16
    return (values / np.sqrt(fan)).astype(np.float32)


def upstream(layout: str, *, noise: bool = False) -> AutoencoderKLLTXVideo:
    """The model of diffusers at probe size with drawn weights.

    Its noise comes of torch's generator, so its scales are zero unless asked for.
    """
    model = AutoencoderKLLTXVideo(**tiny_diffusers(layout)).eval()
    drawn = {k: torch.tensor(draw(k, v.shape)) for k, v in model.state_dict().items()}
    for name in drawn:
        if "per_channel_scale" in name and not noise:
            drawn[name] *= 0
    model.load_state_dict(drawn)
    return model


def channels_first(x: np.ndarray) -> torch.Tensor:
    return torch.tensor(x).permute(0, 4, 1, 2, 3)


def encode(model: AutoencoderKLLTXVideo, video: np.ndarray) -> dict[str, np.ndarray]:
    """Normalised latents and log-variance of `video` (b f h w 3 in [0, 1])."""
    with torch.no_grad():
        found = model.encode(channels_first(2 * video - 1)).latent_dist
    mean, std = statistics(model)
    arrays = {"latents": (found.mean - mean) / std, "log_variance": found.logvar[:, :1]}
    return {k: v.permute(0, 2, 3, 4, 1).numpy() for k, v in arrays.items()}


def decode(model: AutoencoderKLLTXVideo, latents: np.ndarray) -> np.ndarray:
    """The video (b f h w 3 in [0, 1]) of normalised `latents` (b g y x c)."""
    mean, std = statistics(model)
    t = torch.tensor(TIMESTEPS[: len(latents)])
    t = t if model.config.timestep_conditioning else None
    with torch.no_grad():
        decoded = model.decode(channels_first(latents) * std + mean, t).sample
    return ((decoded + 1) / 2).permute(0, 2, 3, 4, 1).numpy()


def statistics(model: AutoencoderKLLTXVideo) -> tuple[torch.Tensor, torch.Tensor]:
    mean, std = model.latents_mean, model.latents_std
    return mean[:, None, None, None], std[:, None, None, None]


def inputs(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """The video of `frames` frames, and latents of the shape it is coded to."""
    batch = 2 if frames == 9 else 1
    video = draw(f"video{frames}", (batch, frames, 64, 96, 3))
    return video, draw(f"latents{frames}", (batch, 1 + frames // 8, 2, 3, 8))


def summary(name: str, x: np.ndarray) -> dict[str, np.ndarray]:
    """Some of `x` (b f h w c), and each of its frames' mean and norm."""
    axes, exact = (2, 3, 4), x.astype(np.float64)
    some = x[:, ::4, ::7, ::7] if name == "decoded" else x[:, :, ::2, ::2, ::3]
    return {
        f"{name}_some": some,
        f"{name}_mean": exact.mean(axes),
        f"{name}_norm": np.sqrt(np.square(exact).sum(axes)),
    }


def full_size_names(layout: str) -> dict[str, dict[str, list[int]]]:
    """Shape of every tensor of the full-size model, by whose names and name."""
    with torch.device("meta"):
        model = AutoencoderKLLTXVideo(latent_channels=128, **DIFFUSERS[layout])
        wheel = CausalVideoAutoencoder.from_config(LIGHTRICKS[layout])
    # The class keeps its statistics outside the state; files hold them by these names.
    known = {f"per_channel_statistics.{k}": [128] for k in STATISTICS}
    lists = lambda model: {k: list(v.shape) for k, v in model.state_dict().items()}
    return {"diffusers": lists(model), "lightricks": lists(wheel) | known}


def main() -> None:
    arrays, names = {}, {}
    for layout, lengths in FRAMES.items():
        model = upstream(layout)
        for frames in lengths:
            video, latents = inputs(frames)
            found = encode(model, video) | {"decoded": decode(model, latents)}
            for name, x in found.items():
                for part, y in summary(name, x).items():
                    arrays[f"{layout}/{frames}/{part}"] = y.astype(np.float32)
        names[layout] = {
            whose: {k: " ".join(map(str, shape)) for k, shape in sorted(shapes.items())}
            for whose, shapes in full_size_names(layout).items()
        }
    np.savez_compressed(GOLDEN.with_suffix(".npz"), **arrays)
    provenance = {
        "upstream": "diffusers AutoencoderKLLTXVideo; ltx_video CausalVideoAutoencoder",
        "versions": {
            name: version(name) for name in ("diffusers", "ltx-video", "torch", "numpy")
        },
        "seed": SEED,
        "timesteps": TIMESTEPS,
        "dtype": "float32",
        "tolerance": 1e-5,
        "why": "absolute; float32 sums in another order over up to 3456 products in 25 "
        "layers (2e-6 found)",
        "full_size": names,
    }
    GOLDEN.with_suffix(".json").write_text(json.dumps(provenance, indent=1) + "\n")


if __name__ == "__main__":
    main()
