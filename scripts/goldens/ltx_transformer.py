"""Writes tests/golden/ltx_transformer.npz: diffusers' LTX-Video transformer, tiny.

Weights and inputs are drawn from a seed and the tensor's name, so the file holds only
outputs: velocities with one noise level and with one per token, at inner widths whose
remainders modulo 6 are those of the 13B (4) and the 2B (2); the same with a PEFT
adapter, and its gradients; rotary tables; sampling schedules; one block of the 13B at
full width; and a digest of the names and shapes of all full-size tensors, from models
on the meta device.

    python scripts/goldens/ltx_transformer.py
"""

import hashlib
import json
import zlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from diffusers.models.transformers.transformer_ltx import (
    LTXVideoRotaryPosEmbed,
    LTXVideoTransformer3DModel,
    LTXVideoTransformerBlock,
)
from ltx_video.models.autoencoders.vae_encode import latent_to_pixel_coords_from_factors
from ltx_video.models.transformers.transformer3d import Transformer3DModel
from ltx_video.schedulers.rf import RectifiedFlowScheduler
from peft import LoraConfig

GOLDEN = Path(__file__).parents[2] / "tests/golden/ltx_transformer"
SEED = 4
GRID = (5, 3, 4)
"""Latent frames, rows, columns: 60 tokens."""
STRIDE = 7
"""Every so many tokens of a rotary table are kept."""
WIDTHS = {"width64": (4, 16), "width32": (4, 8)}
"""Heads and head width."""
TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2"]
RANK, ALPHA = 4, 8
FULL = {"13b": (48, 32, 128), "2b": (28, 32, 64)}
"""Layers, heads, head width."""
BLOCK_GRID, BLOCK_STRIDE = (4, 4, 4), 61
"""Of the full-width block: 64 tokens, and every so many values of it are kept."""
LIGHTRICKS = {
    "attention_bias": True,
    "activation_fn": "gelu-approximate",
    "norm_elementwise_affine": False,
    "norm_eps": 1e-6,
    "qk_norm": "rms_norm",
    "standardization_norm": "rms_norm",
    "positional_embedding_type": "rope",
    "positional_embedding_theta": 1e4,
    "positional_embedding_max_pos": [20, 2048, 2048],
    "timestep_scale_multiplier": 1000,
}


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values of the tensor `name`: gains about 1, matrices over sqrt(inputs)."""
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
    values = rng.standard_normal(shape)
    if "norm" in name:
        values = 1 + 0.3 * values
    elif name.endswith("weight"):
        values = values / np.sqrt(shape[-1])
    else:
        values = 0.5 * values
    return values.astype(np.float32)


def fill(module: torch.nn.Module) -> None:
    for name, parameter in module.named_parameters():
        drawn = torch.from_numpy(draw(name, tuple(parameter.shape)))
        parameter.data.copy_(drawn)


def coordinates(
    *, fps: float, causal: bool, shape: tuple[int, ...] = GRID
) -> torch.Tensor:
    """Seconds, rows and columns [1, 3, n], by LTX-Video's own function."""
    axes = [torch.arange(size) for size in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij")).reshape(1, 3, -1)
    pixels = latent_to_pixel_coords_from_factors(grid, (8, 32, 32), causal).float()
    pixels[:, 0] = pixels[:, 0] * (1 / fps)
    return pixels


def inputs() -> dict[str, torch.Tensor]:
    tokens = int(np.prod(GRID))
    lengths = torch.tensor([5, 7])
    drawn = {
        "hidden_states": draw("input.tokens", (2, tokens, 8)),
        "encoder_hidden_states": draw("input.text", (2, 7, 32)),
    }
    return {k: torch.from_numpy(v) for k, v in drawn.items()} | {
        "encoder_attention_mask": (torch.arange(7) < lengths[:, None]).float(),
        "video_coords": coordinates(fps=25, causal=True).repeat(2, 1, 1),
    }


def timesteps(columns: int) -> torch.Tensor:
    uniform = np.random.default_rng([SEED, columns]).uniform(size=(2, columns))
    return torch.from_numpy(uniform.astype(np.float32))


def transformer(width: str) -> LTXVideoTransformer3DModel:
    heads, head_width = WIDTHS[width]
    model = LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        num_attention_heads=heads,
        attention_head_dim=head_width,
        cross_attention_dim=heads * head_width,
        num_layers=2,
        caption_channels=32,
    )
    fill(model)
    return model.eval()


def run(model: LTXVideoTransformer3DModel, columns: int) -> torch.Tensor:
    levels = timesteps(columns) * 1000
    return model(timestep=levels, return_dict=False, **inputs())[0]


def velocities() -> dict[str, np.ndarray]:
    out = {}
    with torch.no_grad():
        for width in WIDTHS:
            model = transformer(width)
            for kind, columns in (("scalar", 1), ("token", int(np.prod(GRID)))):
                out[f"{width}.{kind}"] = run(model, columns).numpy()
    return out


def adapter() -> dict[str, np.ndarray]:
    """Velocity of an adapted model, and d sum(velocity * drawn) / d adapter."""
    model = transformer("width32")
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS)
    model.add_adapter(config)
    parameters = {}
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "lora_" in name
        if parameter.requires_grad:
            plain = name.replace(".default", "")
            parameter.data = torch.from_numpy(draw(plain, tuple(parameter.shape)))
            parameters[plain] = parameter.requires_grad_()
    velocity = run(model, int(np.prod(GRID)))
    weight = torch.from_numpy(draw("loss.weight", tuple(velocity.shape)))
    (velocity * weight).sum().backward()
    out = {f"gradient.{k}": np.asarray(p.grad) for k, p in parameters.items()}
    return out | {"adapted": velocity.detach().numpy()}


def block() -> LTXVideoTransformerBlock:
    """A block of the 13B: 268 million drawn parameters."""
    _, heads, head_width = FULL["13b"]
    width = heads * head_width
    with torch.device("meta"):
        model = LTXVideoTransformerBlock(width, heads, head_width, width)
    model = model.to_empty(device="cpu")
    for name, parameter in model.named_parameters():
        drawn = draw(f"block.{name}", tuple(parameter.shape))
        parameter.data = torch.from_numpy(drawn)
    return model.eval()


def run_block(model: LTXVideoTransformerBlock) -> np.ndarray:
    """Its tokens, modulated each in its own way; five of seven prompt tokens count."""
    tokens, width = int(np.prod(BLOCK_GRID)), model.scale_shift_table.shape[1]
    coords = coordinates(fps=25, causal=True, shape=BLOCK_GRID)
    rope = LTXVideoRotaryPosEmbed(width)(coords.mT, video_coords=coords)
    drawn = {
        "hidden_states": draw("block.tokens", (1, tokens, width)),
        "encoder_hidden_states": draw("block.text", (1, 7, width)),
        "temb": draw("block.modulation", (1, tokens, 6 * width)),
    }
    inputs = {k: torch.from_numpy(v) for k, v in drawn.items()}
    bias = torch.where(torch.arange(7) < 5, 0.0, -1e4)[None, None]
    with torch.no_grad():
        out = model(**inputs, image_rotary_emb=rope, encoder_attention_mask=bias)
    return out.numpy()


def block_summary() -> dict[str, np.ndarray]:
    out = run_block(block())
    norm = np.linalg.norm(out.astype(np.float64))
    return {"block": out.ravel()[::BLOCK_STRIDE], "block.norm": norm}


def rotary_tables() -> dict[str, np.ndarray]:
    out = {}
    for width in WIDTHS:
        rope = transformer(width).rope
        for fps in (24, 25, 30):
            for kind in ("causal", "plain"):
                coords = coordinates(fps=fps, causal=kind == "causal")
                cos, sin = rope(coords.transpose(1, 2), video_coords=coords)
                # Both of a pair are equal: one is kept.
                pair = torch.stack([cos, sin])[:, 0, ::STRIDE, ::2]
                out[f"rope.{width}.{kind}.{fps}"] = pair.numpy()
    return out


def schedules() -> dict[str, np.ndarray]:
    def times(steps: int, tokens: int = 1024, **config: object) -> np.ndarray:
        scheduler = RectifiedFlowScheduler(**config)
        scheduler.set_timesteps(steps, samples_shape=torch.Size((1, tokens, 128)))
        return scheduler.timesteps.numpy()

    sd3 = {"sampler": "Uniform", "shifting": "SD3"}
    return {
        "schedule.uniform.8": times(8, sampler="Uniform"),
        "schedule.linear_quadratic.8": times(8, sampler="LinearQuadratic"),
        "schedule.linear_quadratic.7": times(7, sampler="LinearQuadratic"),
        "schedule.linear_quadratic.30": times(30, sampler="LinearQuadratic"),
        "schedule.sd3.20": times(20, 2688, **sd3),
        "schedule.sd3_stretched.20": times(20, 2688, target_shift_terminal=0.1, **sd3),
    }


def full_size_names(size: str, layout: str) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of the published sizes."""
    layers, heads, head_width = FULL[size]
    shared = {
        "num_layers": layers,
        "num_attention_heads": heads,
        "attention_head_dim": head_width,
        "cross_attention_dim": heads * head_width,
        "caption_channels": 4096,
        "in_channels": 128,
        "out_channels": 128,
    }
    with torch.device("meta"):
        if layout == "diffusers":
            model = LTXVideoTransformer3DModel(**shared)
        else:
            model = Transformer3DModel(**shared, **LIGHTRICKS)
    return {k: tuple(v.shape) for k, v in model.state_dict().items()}


def digest(names: dict[str, tuple[int, ...]]) -> str:
    lines = "\n".join(f"{k} {list(names[k])}" for k in sorted(names))
    return hashlib.sha256(lines.encode()).hexdigest()


def main() -> None:
    arrays = velocities() | adapter() | rotary_tables() | schedules()
    arrays |= block_summary()
    np.savez_compressed(GOLDEN.with_suffix(".npz"), **arrays)
    names = {
        f"{size}.{layout}": {"count": len(found), "sha256": digest(found)}
        for size in FULL
        for layout in ("diffusers", "lightricks")
        for found in [full_size_names(size, layout)]
    }
    packages = ("diffusers", "ltx-video", "peft", "torch")
    provenance = {
        "upstream": {name: version(name) for name in packages},
        "seed": SEED,
        "dtype": "float32",
        "names": names,
        "tolerance": {
            "velocity": "1e-5: float32 sums in another order over two blocks",
            "block": "1e-4, relative and absolute: sums over 4,096 and 16,384 terms",
            "rope": "1e-6: the angles are rounded where torch rounds them",
            "schedule": "1e-6: float32 against float64",
            "gradient": "relative L2 1e-3 for each matrix",
        },
    }
    text = json.dumps(provenance, indent=2) + "\n"
    GOLDEN.with_suffix(".json").write_text(text)


if __name__ == "__main__":
    main()
