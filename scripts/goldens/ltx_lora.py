"""Writes tests/golden/ltx_lora.npz: what peft makes of adapter files in every form.

The json holds each file as upstream writes it: its metadata, and the name and shape of
every tensor, whose values are drawn from a seed and the name. The npz holds the update
alpha / r B A of every layer, in the order of diffusers' names: every so many values,
and mean and norm. The forms:

    described   diffusers, with metadata; ranks and alphas differ by pattern
    rslora      the same under alpha / sqrt(r)
    trainer     LTX-Video-Trainer: no metadata, alpha = r
    alphas      a tensor of alpha for each layer, names "down" and "up"
    comfyui     Lightricks' names, outside the blocks too
    peft        what a PeftModel saves (alpha = r, as its file does not say)

    python scripts/goldens/ltx_lora.py
"""

import json
import tempfile
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
from diffusers import LTXPipeline
from diffusers.models.transformers.transformer_ltx import LTXVideoTransformer3DModel
from ltx_video.models.transformers.transformer3d import Transformer3DModel
from peft import LoraConfig, PeftModel, get_peft_model, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, safe_open, save_file

GOLDEN = Path(__file__).parents[2] / "tests/golden/ltx_lora"
SEED, STRIDE = 6, 61
RANK, ALPHA = 4, 8
BLOCKS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2"]
OUTSIDE = ["proj_in", "proj_out", "linear_1", "linear_2", "time_embed.linear"]
PATTERNS = {
    "rank_pattern": {"to_q": 2, "transformer_blocks.1.ff.net.2": 3},
    "alpha_pattern": {"to_k": 16, "^transformer_blocks.0.attn1.to_v": 1},
}
RENAMED = {"patchify_proj": "proj_in", "adaln_single": "time_embed"}
"""First words of a layer's name: Lightricks', diffusers'."""
SIZE = {
    "num_layers": 2,
    "num_attention_heads": 4,
    "attention_head_dim": 8,
    "cross_attention_dim": 32,
    "caption_channels": 32,
    "in_channels": 8,
    "out_channels": 8,
}
Updates = dict[str, np.ndarray]


def draw(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Values of the tensor `name`; an alpha is positive."""
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
    values = rng.standard_normal(shape)
    values = 4 * np.abs(values) if name.endswith("alpha") else values
    return torch.from_numpy(np.asarray(values, np.float32))


def diffusers_model() -> LTXVideoTransformer3DModel:
    return LTXVideoTransformer3DModel(**SIZE)


def lightricks_model() -> Transformer3DModel:
    return Transformer3DModel(
        **SIZE,
        attention_bias=True,
        activation_fn="gelu-approximate",
        norm_elementwise_affine=False,
        norm_eps=1e-6,
        qk_norm="rms_norm",
        standardization_norm="rms_norm",
        positional_embedding_type="rope",
        positional_embedding_theta=1e4,
        positional_embedding_max_pos=[20, 2048, 2048],
    )


def config(targets: list[str] = BLOCKS, **changes: Any) -> LoraConfig:
    return LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, **changes)


def updates(model: torch.nn.Module) -> Updates:
    """The update alpha / r B A of every adapted layer by diffusers' name."""
    found = {}
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            first, dot, rest = name.removeprefix("base_model.model.").partition(".")
            delta = layer.get_delta_weight("default").detach().numpy()
            found[RENAMED.get(first, first) + dot + rest] = delta
    return dict(sorted(found.items()))


def redrawn(path: Path) -> dict[str, torch.Tensor]:
    """Writes the file again with drawn values."""
    with safe_open(path, "pt") as file:
        notes = file.metadata() or {}
    tensors = {k: draw(k, tuple(v.shape)) for k, v in load_file(path).items()}
    save_file(tensors, path, metadata=notes)
    return tensors


def exported(path: Path, lora: LoraConfig) -> None:
    """The file that diffusers' pipeline writes, its metadata included."""
    model = diffusers_model()
    model.add_adapter(lora)
    LTXPipeline.save_lora_weights(
        path.parent,
        peft.get_peft_model_state_dict(model),
        weight_name=path.name,
        transformer_lora_adapter_metadata=model.peft_config["default"].to_dict(),
    )


def read_by_diffusers(path: Path, alphas: dict[str, float] | None = None) -> Updates:
    state, notes = LTXPipeline.lora_state_dict(str(path), return_lora_metadata=True)
    model = diffusers_model()
    model.load_lora_adapter(
        {k: v for k, v in state.items() if not k.endswith("alpha")},
        adapter_name="default",
        metadata=notes,
        network_alphas=alphas,
    )
    return updates(model)


def described(path: Path, **changes: Any) -> Updates:
    exported(path, config(BLOCKS + OUTSIDE, **PATTERNS, **changes))
    redrawn(path)
    return read_by_diffusers(path)


def rslora(path: Path) -> Updates:
    return described(path, use_rslora=True)


def trainer(path: Path) -> Updates:
    exported(path, config())
    save_file(redrawn(path), path)
    return read_by_diffusers(path)


def alphas(path: Path) -> Updates:
    """Alphas go beside the file, "down" and "up" are A and B, as diffusers has them."""
    exported(path, config(rank_pattern={"to_q": 2}))
    tensors = load_file(path)
    layers = sorted(k.removesuffix(".lora_A.weight") for k in tensors if "_A." in k)
    words = {"lora_A": "lora_down", "lora_B": "lora_up"}
    renamed = {
        f"{layer}.{new}.weight": tensors[f"{layer}.{old}.weight"]
        for layer in layers
        for old, new in words.items()
    }
    save_file(renamed | {f"{k}.alpha": torch.ones(()) for k in layers}, path)
    drawn = redrawn(path)
    plain = {
        f"{layer}.{old}.weight": drawn[f"{layer}.{new}.weight"]
        for layer in layers
        for old, new in words.items()
    }
    other = path.with_name("plain.safetensors")
    save_file(plain, other)
    return read_by_diffusers(other, {f"{k}.alpha": drawn[f"{k}.alpha"] for k in layers})


def comfyui(path: Path) -> Updates:
    """Lightricks' own class under peft, and its names with ComfyUI's prefix."""
    outside = ["patchify_proj", "proj_out", "linear_1", "linear_2"]
    lora = LoraConfig(
        r=RANK,
        lora_alpha=RANK,
        target_modules=[*BLOCKS, *outside, "adaln_single.linear"],
    )
    model = inject_adapter_in_model(lora, lightricks_model())
    state = peft.get_peft_model_state_dict(model, adapter_name="default")
    prefix = "diffusion_model."
    save_file({prefix + k: v.contiguous() for k, v in state.items()}, path)
    drawn = {k.removeprefix(prefix): v for k, v in redrawn(path).items()}
    peft.set_peft_model_state_dict(model, drawn, adapter_name="default")
    return updates(model)


def peft_model(path: Path) -> Updates:
    lora = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=BLOCKS)
    get_peft_model(diffusers_model(), lora).save_pretrained(path.parent)
    saved = path.with_name("adapter_model.safetensors")
    redrawn(saved)
    again = PeftModel.from_pretrained(diffusers_model(), path.parent)
    saved.rename(path)
    return updates(again)


FORMS = {
    "described": described,
    "rslora": rslora,
    "trainer": trainer,
    "alphas": alphas,
    "comfyui": comfyui,
    "peft": peft_model,
}


def file_of(path: Path) -> dict[str, Any]:
    """What a file says besides the values of its tensors."""
    with safe_open(path, "pt") as file:
        shapes = {k: list(file.get_slice(k).get_shape()) for k in sorted(file.keys())}
        return {"metadata": file.metadata() or {}, "tensors": shapes}


def main() -> None:
    arrays, files = {}, {}
    for name, form in FORMS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.safetensors"
            found = form(path)
            files[name] = file_of(path)
        flat = [update.ravel() for update in found.values()]
        arrays[name] = np.concatenate([values[::STRIDE] for values in flat])
        both = [(values.mean(), np.linalg.norm(values)) for values in flat]
        arrays[f"{name}.mean_norm"] = np.asarray(both, np.float32)
    np.savez_compressed(GOLDEN.with_suffix(".npz"), **arrays)
    packages = ("diffusers", "ltx-video", "peft", "torch")
    provenance = {
        "upstream": {name: version(name) for name in packages},
        "seed": SEED,
        "stride": STRIDE,
        "tolerance": "1e-5: float32 products of at most four terms",
        "files": files,
    }
    text = json.dumps(provenance, indent=1) + "\n"
    GOLDEN.with_suffix(".json").write_text(text)


if __name__ == "__main__":
    main()
