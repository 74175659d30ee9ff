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
from ltx_video.models.transformers.transformer3d import Transformer3DModel
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


def outputs() -> dict[str, np.ndarray]:
    return {f"perturbed.{kind}": perturbed(kind) for kind in KINDS}


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
