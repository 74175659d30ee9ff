"""Writes tests/golden/ltx_sampling.npz: the ltx-video wheel's guided sampling, tiny.

Weights, inputs and noise are drawn from a seed and a name as in ltx_transformer.py, so
the file holds only outputs, of each every few tokens with the mean and the norm of all:
velocities with perturbed self-attention, one for each kind; whole runs of the pipeline
from noise to latents, with guidance tables and with conditioning items.

    python scripts/goldens/ltx_sampling.py
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from ltx_transformer import LIGHTRICKS, SEED, draw, fill, inputs, timesteps
from ltx_video.models.autoencoders.vae_encode import latent_to_pixel_coords_from_factors
from ltx_video.models.transformers.symmetric_patchifier import SymmetricPatchifier
from ltx_video.models.transformers.transformer3d import Transformer3DModel
from ltx_video.pipelines import pipeline_ltx_video as upstream
from ltx_video.schedulers.rf import RectifiedFlowScheduler
from ltx_video.utils.skip_layer_strategy import SkipLayerStrategy

GOLDEN = Path(__file__).parents[2] / "tests/golden/ltx_sampling"
STRIDE = 7
"""Every so many tokens of an output are kept."""
KINDS = {
    "attention_values": SkipLayerStrategy.AttentionValues,
    "attention_skip": SkipLayerStrategy.AttentionSkip,
    "transformer_block": SkipLayerStrategy.TransformerBlock,
}
KEPT = [[1.0, 0.0], [0.0, 1.0]]
"""Block 0 is perturbed in row 1, block 1 in row 0."""


def transformer(layers: int = 2, **changes: object) -> Transformer3DModel:
    model = Transformer3DModel(
        **LIGHTRICKS | changes,
        num_layers=layers,
        num_attention_heads=4,
        attention_head_dim=16,
        cross_attention_dim=64,
        caption_channels=32,
        in_channels=8,
        out_channels=8,
    )
    fill(model)
    return model.eval()


def summary(tokens: np.ndarray) -> dict[str, np.ndarray]:
    """What is kept of an output [b, n, c]."""
    whole = [tokens.mean(dtype=np.float64), np.linalg.norm(tokens.astype(np.float64))]
    return {"strided": tokens[:, ::STRIDE], "whole": np.array(whole)}


def perturbed(kind: str) -> np.ndarray:
    """The velocity with one level per token and perturbed rows."""
    arguments = inputs()
    arguments["indices_grid"] = arguments.pop("video_coords")
    with torch.no_grad():
        return transformer()(
            timestep=timesteps(60),
            skip_layer_mask=torch.tensor(KEPT),
            skip_layer_strategy=KINDS[kind],
            return_dict=False,
            **arguments,
        )[0].numpy()


class Coded(torch.nn.Module):
    """In place of the VAE: an image or clip is the number of its drawn latents."""

    device, dtype = torch.device("cpu"), torch.float32

    def encode(self, media: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        """The latents of this number, channels first."""
        frames, height, width = media.shape[2:]
        shape = (1, (frames - 1) // 8 + 1, height // 32, width // 32, 8)
        latents = torch.from_numpy(draw(f"given.{int(media.mean())}", shape))
        return latents.permute(0, 4, 1, 2, 3)


def pipeline(sampler: dict[str, object]) -> upstream.LTXVideoPipeline:
    """The wheel's pipeline with drawn noise and `Coded`."""
    factors = (8, 32, 32)
    upstream.CausalVideoAutoencoder = Coded
    upstream.get_vae_size_scale_factor = lambda vae: factors
    upstream.vae_encode = lambda media, vae, **_: vae.encode(media)
    upstream.latent_to_pixel_coords = lambda coords, vae, causal_fix: (
        latent_to_pixel_coords_from_factors(coords, factors, causal_fix)
    )
    upstream.randn_tensor = lambda shape, **_: torch.from_numpy(
        draw("noise", tuple(shape))
    )
    empty = dict.fromkeys((
        "tokenizer",
        "text_encoder",
        "prompt_enhancer_image_caption_model",
        "prompt_enhancer_image_caption_processor",
        "prompt_enhancer_llm_model",
        "prompt_enhancer_llm_tokenizer",
    ))  # fmt: skip
    return upstream.LTXVideoPipeline(
        vae=Coded(),
        transformer=transformer(causal_temporal_positioning=True),
        scheduler=RectifiedFlowScheduler(**sampler),
        patchifier=SymmetricPatchifier(patch_size=1),
        **empty,
    )


def media(number: int, frames: int) -> torch.Tensor:
    return torch.full((1, 3, frames, 96, 128), float(number))


def sampled(sampler: dict[str, object], **arguments: object) -> np.ndarray:
    """Tokens that the pipeline ends at: five latent frames of 3 x 4."""
    latents = pipeline(sampler)(
        height=96,
        width=128,
        num_frames=33,
        frame_rate=25,
        prompt_embeds=torch.from_numpy(draw("input.text", (2, 7, 32)))[:1],
        prompt_attention_mask=(torch.arange(7) < 5).float()[None],
        negative_prompt=None,
        negative_prompt_embeds=torch.from_numpy(draw("input.text", (2, 7, 32)))[1:],
        negative_prompt_attention_mask=torch.ones(1, 7),
        output_type="latent",
        is_video=True,
        vae_per_channel_normalize=True,
        mixed_precision=False,
        **arguments,
    ).images
    return latents.flatten(2).transpose(1, 2).numpy()


def by_tables() -> np.ndarray:
    return sampled(
        {"sampler": "LinearQuadratic"},
        num_inference_steps=6,
        skip_final_inference_steps=1,
        guidance_timesteps=[1.0, 0.99, 0.98, 0.5],
        guidance_scale=[1, 6, 3, 1],
        stg_scale=[0, 4, 2, 1],
        rescaling_scale=[1, 0.5, 1, 1],
        skip_block_list=[[], [0], [1], [0, 1]],
        skip_layer_strategy=SkipLayerStrategy.AttentionValues,
        cfg_star_rescale=True,
    )


def with_given_frames() -> np.ndarray:
    """An image at the first frame, a clip from frame 8, an image at the last frame."""
    places = ((0, 1, 0, 0.7), (1, 17, 8, 1.0), (2, 1, 32, 1.0))
    return sampled(
        {"sampler": "Uniform", "shifting": "SD3", "target_shift_terminal": 0.1},
        num_inference_steps=4,
        guidance_scale=3,
        stg_scale=1,
        rescaling_scale=0.7,
        skip_block_list=[1],
        skip_layer_strategy=SkipLayerStrategy.AttentionSkip,
        conditioning_items=[
            upstream.ConditioningItem(media(number, frames), frame, strength)
            for number, frames, frame, strength in places
        ],
    )


def noised_given_frame() -> np.ndarray:
    """The first frame shown with noise, from noised latents."""
    latents = torch.from_numpy(draw("start", (1, 5, 3, 4, 8))).permute(0, 4, 1, 2, 3)
    return sampled(
        {"sampler": "Uniform"},
        num_inference_steps=5,
        skip_initial_inference_steps=2,
        guidance_scale=1,
        stg_scale=0,
        rescaling_scale=1,
        latents=latents,
        image_cond_noise_scale=0.15,
        conditioning_items=[upstream.ConditioningItem(media(0, 1), 0, 1.0)],
    )


def outputs() -> dict[str, np.ndarray]:
    return {f"perturbed.{kind}": perturbed(kind) for kind in KINDS} | {
        "sampled.tables": by_tables(),
        "sampled.given": with_given_frames(),
        "sampled.noised": noised_given_frame(),
    }


def main() -> None:
    arrays = {
        f"{name}.{part}": values
        for name, tokens in outputs().items()
        for part, values in summary(tokens).items()
    }
    np.savez_compressed(GOLDEN.with_suffix(".npz"), **arrays)
    provenance = {
        "upstream": {name: version(name) for name in ("ltx-video", "torch")},
        "seed": SEED,
        "dtype": "float32",
        "tolerance": "1e-5: float32 sums in another order",
    }
    GOLDEN.with_suffix(".json").write_text(json.dumps(provenance, indent=2) + "\n")


if __name__ == "__main__":
    main()
