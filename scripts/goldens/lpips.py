"""Writes tests/golden/lpips.npz: distances and maps of the four LPIPS nets, by torch.

The official architectures run with random weights of a fixed seed, written here in
plain torch; the shift-tolerant nets run from the package stlpips_pytorch with its own
weights.

    python scripts/goldens/lpips.py
"""

import json
import sys
import types
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

GOLDEN = Path(__file__).parents[2] / "tests/golden/lpips"
SEED = 20
POOL = "pool"
VGG16 = [[64] * 2, [POOL, 128, 128], *([[POOL, n, n, n] for n in (256, 512, 512)])]
ALEX = [[64], [POOL, 192], [POOL, 384], [256], [256]]
ALEX_WINDOWS = {64: (11, 4, 2), 192: (5, 1, 2)}


def images() -> tuple[np.ndarray, np.ndarray]:
    """Two batches of images in [0, 1]: noise, and the same with other noise added."""
    rng = np.random.default_rng(SEED)
    a = rng.random((2, 72, 40, 3), dtype=np.float32)
    noise = rng.standard_normal(a.shape, dtype=np.float32)
    return a, np.clip(a + 0.2 * noise, 0, 1)


def random_weights(net: str) -> tuple[list, list]:
    """Kernels `i j c d` with biases, and heads, of an official net."""
    rng = np.random.default_rng(SEED + 1)
    convolutions, heads, channels = [], [], 3
    for stage in VGG16 if net == "vgg" else ALEX:
        for features in (n for n in stage if n != POOL):
            window = ALEX_WINDOWS.get(features, (3,))[0] if net == "alex" else 3
            shape = (window, window, channels, features)
            scale = np.float32(np.sqrt(2 / (window * window * channels)))
            kernel = rng.standard_normal(shape, dtype=np.float32) * scale
            bias = 0.1 * rng.standard_normal(features, dtype=np.float32)
            convolutions.append((kernel, bias))
            channels = features
        heads.append(rng.random(channels, dtype=np.float32))
    return convolutions, heads


def official(net: str, a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    """Distance and map of an official architecture with random weights."""
    convolutions, heads = random_weights(net)
    taps = [_official_taps(net, x, convolutions) for x in (a, b)]
    maps = []
    for pair, head in zip(zip(*taps, strict=True), heads, strict=True):
        x, y = (v / (v.square().sum(1, keepdim=True).sqrt() + 1e-10) for v in pair)
        maps.append((torch.tensor(head)[:, None, None] * (x - y).square()).sum(1, True))
    size = a.shape[1:3]
    full = [F.interpolate(m, size, mode="bilinear", align_corners=False) for m in maps]
    return {
        "distance": sum(m.mean((1, 2, 3)) for m in maps).numpy(),
        "map": sum(full)[:, 0].numpy(),
    }


def _official_taps(net: str, x: np.ndarray, convolutions: list) -> list[torch.Tensor]:
    shift = torch.tensor([-0.030, -0.088, -0.188])
    scale = torch.tensor([0.458, 0.448, 0.450])
    h = ((2 * torch.tensor(x) - 1 - shift) / scale).permute(0, 3, 1, 2)
    remaining, taps = iter(convolutions), []
    for stage in VGG16 if net == "vgg" else ALEX:
        for op in stage:
            if op == POOL:
                h = F.max_pool2d(h, *((2, 2) if net == "vgg" else (3, 2)))
                continue
            kernel, bias = (torch.tensor(w) for w in next(remaining))
            _, stride, padding = (ALEX_WINDOWS if net == "alex" else {}).get(
                op, (3, 1, 1)
            )
            h = F.conv2d(h, kernel.permute(3, 2, 0, 1), bias, stride, padding).relu()
        taps.append(h)
    return taps


def shift_tolerant(net: str, a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    """Distance and map of the package's net, fed [-1, 1]."""
    found = {}
    for key, spatial in (("distance", False), ("map", True)):
        model = _package_net(net, spatial=spatial)
        x, y = (torch.tensor(v).permute(0, 3, 1, 2) for v in (a, b))
        with torch.no_grad():
            out = model(x, y, normalize=True).numpy()[:, 0]
        found[key] = out if spatial else out.ravel()
    return found


def _package_net(net: str, *, spatial: bool) -> torch.nn.Module:
    for name in ("torchvision", "IPython", "torchsummary"):
        if name not in sys.modules:
            module = types.ModuleType(name)
            module.__spec__ = ModuleSpec(name, None)
            module.models = module.embed = module.summary = None  # ty: ignore
            sys.modules[name] = module
    from stlpips_pytorch import stlpips

    folder = Path(stlpips.__file__).parent / "weights/vST0.0"
    model = stlpips.LPIPS(
        net=net,
        variant="shift_tolerant",
        spatial=spatial,
        pretrained=False,
        verbose=False,
    )
    state = torch.load(
        folder / f"{net}_shift_tolerant.pth", map_location="cpu", weights_only=True
    )
    keys = model.load_state_dict(state, strict=False)
    aliases = all(key.startswith("lins.") for key in keys.missing_keys)
    assert aliases, keys  # lins.0 is lin0
    assert not keys.unexpected_keys, keys
    return model


def main() -> None:
    a, b = images()
    arrays = {}
    for net in ("vgg", "alex"):
        for family, run in (("lpips", official), ("st-lpips", shift_tolerant)):
            for key, value in run(net, a, b).items():
                arrays[f"{family}-{net}/{key}"] = value.astype(np.float32)
    np.savez_compressed(GOLDEN.with_suffix(".npz"), **arrays)
    provenance = {
        "upstream": "torch functions (official, random weights); stlpips_pytorch (st-)",
        "versions": {
            name: version(name) for name in ("torch", "stlpips_pytorch", "numpy")
        },
        "seed": SEED,
        "dtype": "float32",
        "tolerance": 1e-4,
        "why": "relative to the largest value; float32 sums in another order over up "
        "to 4608 products in 13 layers",
    }
    GOLDEN.with_suffix(".json").write_text(json.dumps(provenance, indent=2) + "\n")


if __name__ == "__main__":
    main()
