"""Writes tests/golden/lpips.npz: distances and maps of the four LPIPS nets, by torch.

The official architectures run from the package lpips with random weights of a fixed
seed, the shift-tolerant nets from the package stlpips_pytorch with their own weights.

    python scripts/goldens/lpips_nets.py
"""

import json
import sys
import types
from collections.abc import Callable
from functools import partial
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

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
    """Distance and map of the package lpips' net, weights random, fed [-1, 1]."""
    return _outputs(_official_net, net, a, b)


def shift_tolerant(net: str, a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    """Distance and map of the package stlpips_pytorch's net, fed [-1, 1]."""
    return _outputs(_shift_tolerant_net, net, a, b)


def _outputs(
    build: Callable[..., torch.nn.Module], net: str, a: np.ndarray, b: np.ndarray
) -> dict[str, np.ndarray]:
    found = {}
    for key, spatial in (("distance", False), ("map", True)):
        model = build(net, spatial=spatial)
        x, y = (torch.tensor(v).permute(0, 3, 1, 2) for v in (a, b))
        with torch.no_grad():
            out = model(x, y, normalize=True).numpy()[:, 0]
        found[key] = out if spatial else out.ravel()
    return found


def _official_net(net: str, *, spatial: bool) -> torch.nn.Module:
    _stand_in()
    import lpips

    model = lpips.LPIPS(
        net=net, spatial=spatial, pretrained=False, pnet_rand=True, verbose=False
    )
    convolutions, heads = random_weights(net)
    layers = [m for m in model.net.modules() if isinstance(m, torch.nn.Conv2d)]
    for layer, (kernel, bias) in zip(layers, convolutions, strict=True):
        layer.weight.data = torch.tensor(kernel).permute(3, 2, 0, 1)
        layer.bias.data = torch.tensor(bias)
    for index, head in enumerate(heads):
        line = getattr(model, f"lin{index}").model[-1]
        line.weight.data = torch.tensor(head).reshape(line.weight.shape)
    return model


def _shift_tolerant_net(net: str, *, spatial: bool) -> torch.nn.Module:
    _stand_in()
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


def _stand_in() -> None:
    """What both packages import and need not: torchvision gives two trunks alone."""
    trunks = types.SimpleNamespace(
        vgg16=partial(_trunk, VGG16, (2, 2), {}),
        alexnet=partial(_trunk, ALEX, (3, 2), ALEX_WINDOWS),
    )
    for name in ("torchvision", "IPython", "torchsummary"):
        if name not in sys.modules:
            module = types.ModuleType(name)
            module.__spec__ = ModuleSpec(name, None)
            vars(module).update(models=trunks, embed=None, summary=None)
            sys.modules[name] = module


def _trunk(
    stages: list, pool: tuple[int, int], windows: dict, pretrained: bool = False
) -> types.SimpleNamespace:
    """`features` of a trunk of torchvision, random."""
    assert not pretrained
    layers: list[torch.nn.Module] = []
    channels = 3
    for op in (op for stage in stages for op in stage):
        if op == POOL:
            layers.append(torch.nn.MaxPool2d(*pool))
            continue
        window, stride, padding = windows.get(op, (3, 1, 1))
        conv = torch.nn.Conv2d(channels, op, window, stride, padding)
        layers += [conv, torch.nn.ReLU(inplace=True)]
        channels = op
    return types.SimpleNamespace(features=torch.nn.Sequential(*layers))


def main() -> None:
    a, b = images()
    arrays = {}
    for net in ("vgg", "alex"):
        for family, run in (("lpips", official), ("st-lpips", shift_tolerant)):
            for key, value in run(net, a, b).items():
                arrays[f"{family}-{net}/{key}"] = value.astype(np.float32)
    np.savez_compressed(GOLDEN.with_suffix(".npz"), **arrays)
    provenance = {
        "upstream": "lpips (random weights); stlpips_pytorch (st-, its own weights)",
        "versions": {
            name: version(name)
            for name in ("torch", "lpips", "stlpips_pytorch", "numpy")
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
