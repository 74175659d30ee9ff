"""Writes tests/golden/ltx_upsampler.npz: Lightricks' latent upsampler, tiny.

Weights and latents are drawn from a seed and the tensor's name, so the file holds only
outputs: every so many values, and mean and norm, of upsamplers in space, in time, in
both, and in space frame by frame; AdaIN and tone mapping; and a digest of the names and
shapes of all full-size tensors, from models on the meta device.

    python scripts/goldens/ltx_upsampler.py
"""

import hashlib
import json
import zlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from diffusers.pipelines.ltx.modeling_latent_upsampler import LTXLatentUpsamplerModel
from ltx_video.models.autoencoders.latent_upsampler import LatentUpsampler
from ltx_video.pipelines.pipeline_ltx_video import (
    LTXVideoPipeline,
    adain_filter_latent,
)

GOLDEN = Path(__file__).parents[2] / "tests/golden/ltx_upsampler"
SEED, STRIDE = 7, 11
SIZE = {"in_channels": 8, "mid_channels": 64, "num_blocks_per_stage": 1}
FORMS = {
    "space": {"dims": 3, "spatial_upsample": True, "temporal_upsample": False},
    "time": {"dims": 3, "spatial_upsample": False, "temporal_upsample": True},
    "both": {"dims": 3, "spatial_upsample": True, "temporal_upsample": True},
    "frames": {"dims": 2, "spatial_upsample": True, "temporal_upsample": False},
}
LATENTS = (2, 3, 4, 5, 8)
"""Clips, frames, rows, columns, channels."""


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values of the tensor `name`: gains about 1, kernels over sqrt(inputs)."""
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
    values = rng.standard_normal(shape)
    if "norm" in name and name.endswith("weight"):
        values = 1 + 0.3 * values
    elif name.endswith("weight"):
        values = values / np.sqrt(np.prod(shape[1:]))
    return values.astype(np.float32)


def model(form: str, kind: type = LatentUpsampler) -> torch.nn.Module:
    built = kind(**SIZE, **FORMS[form])
    for name, parameter in built.named_parameters():
        drawn = draw(name, tuple(parameter.shape))
        parameter.data.copy_(torch.from_numpy(drawn))
    return built.eval()


def channels_first(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).permute(0, 4, 1, 2, 3).contiguous()


def run(model: torch.nn.Module) -> np.ndarray:
    with torch.no_grad():
        out = model(channels_first(draw("latents", LATENTS)))
    return out.permute(0, 2, 3, 4, 1).numpy()


def adain() -> np.ndarray:
    """Of latents with the statistics of fewer."""
    over = 3 * draw("latents", LATENTS) + draw("offset", (8,))
    like = draw("like", (2, 2, 3, 4, 8)) * draw("scale", (8,))
    out = adain_filter_latent(channels_first(over), channels_first(like))
    return out.permute(0, 2, 3, 4, 1).numpy()


def tone() -> np.ndarray:
    z = torch.from_numpy(3 * draw("latents", LATENTS))
    return LTXVideoPipeline.tone_map_latents(z, 0.6).numpy()


def digest(form: str) -> dict[str, object]:
    with torch.device("meta"):
        full = LatentUpsampler(**FORMS[form])
    shapes = {k: list(v.shape) for k, v in full.state_dict().items()}
    lines = "\n".join(f"{k} {shapes[k]}" for k in sorted(shapes))
    sha256 = hashlib.sha256(lines.encode()).hexdigest()
    return {"count": len(shapes), "sha256": sha256}


def main() -> None:
    arrays = {}
    outputs = {form: run(model(form)) for form in FORMS} | {
        "adain": adain(),
        "tone": tone(),
    }
    for name, out in outputs.items():
        arrays[name] = out.ravel()[::STRIDE]
        arrays[f"{name}.mean_norm"] = np.asarray(
            [out.mean(), np.linalg.norm(out)], np.float32
        )
    for form in FORMS:
        theirs = run(model(form, LTXLatentUpsamplerModel))
        np.testing.assert_array_equal(outputs[form], theirs)
    np.savez_compressed(GOLDEN.with_suffix(".npz"), **arrays)
    packages = ("diffusers", "ltx-video", "torch")
    provenance = {
        "upstream": {name: version(name) for name in packages},
        "seed": SEED,
        "stride": STRIDE,
        "tolerance": "1e-5: float32 sums in another order",
        "names": {form: digest(form) for form in FORMS},
    }
    GOLDEN.with_suffix(".json").write_text(json.dumps(provenance, indent=2) + "\n")


if __name__ == "__main__":
    main()
