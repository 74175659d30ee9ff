"""Writes tests/golden/ltx_vae.npz: diffusers' LTX-Video autoencoder at probe size.

Weights and videos are drawn from a seed and the tensor's name, so the file holds only
outputs. Also writes the names and shapes of every tensor of the full-size autoencoder
in both upstream layouts, from models on the meta device.

    python scripts/goldens/ltx_vae.py
"""

import json
import zlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_ltx import AutoencoderKLLTXVideo
from ltx_video.models.autoencoders.causal_video_autoencoder import (
    CausalVideoAutoencoder,
)

GOLDEN = Path(__file__).parents[2] / "tests/golden/ltx_vae"
SEED = 20
FRAMES = (1, 9, 17)
TIMESTEPS = (0.05, 0.4)
SHARED = {
    "down_block_types": ("LTXVideo095DownBlock3D",) * 4,
    "spatio_temporal_scaling": (True,) * 4,
    "decoder_spatio_temporal_scaling": (True,) * 3,
    "decoder_inject_noise": (False,) * 4,
    "downsample_type": ("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
    "upsample_residual": (True,) * 3,
    "upsample_factor": (2, 2, 2),
    "timestep_conditioning": True,
    "patch_size": 4,
    "patch_size_t": 1,
    "encoder_causal": True,
    "decoder_causal": False,
    "spatial_compression_ratio": 32,
    "temporal_compression_ratio": 8,
}
PROBE = {
    **SHARED,
    "latent_channels": 8,
    "block_out_channels": (8, 16, 32, 64, 128),
    "decoder_block_out_channels": (16, 32, 64),
    "layers_per_block": (1, 1, 1, 1, 1),
    "decoder_layers_per_block": (1, 1, 1, 1),
}
FULL = {
    **SHARED,
    "latent_channels": 128,
    "block_out_channels": (128, 256, 512, 1024, 2048),
    "decoder_block_out_channels": (256, 512, 1024),
    "layers_per_block": (4, 6, 6, 2, 2),
    "decoder_layers_per_block": (5, 5, 5, 5),
}
FULL_LIGHTRICKS = {
    "_class_name": "CausalVideoAutoencoder",
    "dims": 3,
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
        *[
            ("compress_all", {"residual": True, "multiplier": 2}),
            ("res_x", {"num_layers": 5, "inject_noise": False}),
        ]
        * 3,
    ],
    "latent_channels": 128,
    "norm_layer": "pixel_norm",
    "patch_size": 4,
    "latent_log_var": "uniform",
    "use_quant_conv": False,
    "causal_decoder": False,
    "timestep_conditioning": True,
}


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The weights of tensor `name`, or the video of that name."""
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
    if name.startswith("video"):
        return rng.random(shape, dtype=np.float32)
    if name.endswith("timestep_scale_multiplier"):
        return np.asarray(1000, np.float32)
    values = rng.standard_normal(shape, dtype=np.float32)
    if name == "latents_std":
        return 0.5 + np.abs(values)
    fan = np.prod(shape[1:]) if name.endswith("weight") else 16
    return (values / np.sqrt(fan)).astype(np.float32)


def probe() -> AutoencoderKLLTXVideo:
    """The upstream model at probe size with drawn weights."""
    model = AutoencoderKLLTXVideo(**PROBE).eval()
    drawn = {k: torch.tensor(draw(k, v.shape)) for k, v in model.state_dict().items()}
    model.load_state_dict(drawn)
    return model


def run(model: AutoencoderKLLTXVideo, video: np.ndarray) -> dict[str, np.ndarray]:
    """Normalised latents, log-variance and decoded video of `video` (b f h w 3)."""
    mean, std = (
        s[:, None, None, None] for s in (model.latents_mean, model.latents_std)
    )
    with torch.no_grad():
        found = model.encode(torch.tensor(2 * video - 1).permute(0, 4, 1, 2, 3))
        latents = (found.latent_dist.mean - mean) / std
        t = torch.tensor(TIMESTEPS[: len(video)])
        decoded = model.decode(latents * std + mean, t).sample
    arrays = {
        "latents": latents,
        "log_variance": found.latent_dist.logvar[:, :1],
        "decoded": (decoded + 1) / 2,
    }
    return {k: v.permute(0, 2, 3, 4, 1).numpy() for k, v in arrays.items()}


def summary(video: np.ndarray) -> dict[str, np.ndarray]:
    """Every 4th frame, every 7th row and column, and each frame's mean and norm."""
    axes = (2, 3, 4)
    return {
        "decoded_some": video[:, ::4, ::7, ::7],
        "decoded_mean": video.mean(axes),
        "decoded_norm": np.sqrt(np.square(video, dtype=np.float64).sum(axes)),
    }


def full_size_names() -> dict[str, dict[str, list[int]]]:
    """Shape of every tensor of the full-size model, by layout and name."""
    with torch.device("meta"):
        diffusers = AutoencoderKLLTXVideo(**FULL).state_dict()
        lightricks = CausalVideoAutoencoder.from_config(FULL_LIGHTRICKS).state_dict()
    # The class keeps its statistics outside the state; files hold them by these names.
    statistics = {f"per_channel_statistics.{k}": [128] for k in STATISTICS}
    return {
        "diffusers": {k: list(v.shape) for k, v in diffusers.items()},
        "lightricks": {k: list(v.shape) for k, v in lightricks.items()} | statistics,
    }


STATISTICS = ("mean-of-means", "std-of-means")


def main() -> None:
    model, arrays = probe(), {}
    for frames in FRAMES:
        shape = (2 if frames == 9 else 1, frames, 64, 96, 3)
        found = run(model, draw(f"video{frames}", shape))
        found |= summary(found.pop("decoded"))
        arrays |= {f"{frames}/{k}": v.astype(np.float32) for k, v in found.items()}
    np.savez_compressed(GOLDEN.with_suffix(".npz"), **arrays)
    names = {
        layout: {
            name: " ".join(map(str, shape)) for name, shape in sorted(shapes.items())
        }
        for layout, shapes in full_size_names().items()
    }
    provenance = {
        "upstream": "diffusers AutoencoderKLLTXVideo; ltx_video CausalVideoAutoencoder",
        "versions": {
            name: version(name) for name in ("diffusers", "ltx-video", "torch", "numpy")
        },
        "seed": SEED,
        "dtype": "float32",
        "tolerance": 1e-5,
        "why": "absolute; float32 sums in another order over up to 3456 products in 25 "
        "layers (2e-6 found)",
        "full_size": names,
    }
    GOLDEN.with_suffix(".json").write_text(json.dumps(provenance, indent=1) + "\n")


if __name__ == "__main__":
    main()
