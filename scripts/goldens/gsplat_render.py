"""Writes tests/golden/gsplat.npz: renders and gradients by gsplat 1.5.3 in torch.

Covariances, projection and harmonics are gsplat's own; its `accumulate` is fed as
scripts/bench/gsplat_peer.py says. Inputs are stored beside outputs, float32 throughout.

    python scripts/goldens/gsplat_render.py
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts/bench"))

import gsplat_peer  # noqa: E402

GOLDEN = ROOT / "tests/golden/gsplat"
COUNT, SIZE = 100, (45, 37)
# Seeds without a pair so near alpha = 1/255 that rounding decides whether it counts:
# one such pair (seed 0 has one) is a step in the image and in every gradient.
SCENES = {
    "random": {"seed": 2, "size": 0.12, "opacity": 0.0, "center": (22.5, 18.5)},
    "stack": {"seed": 3, "size": 0.3, "opacity": 3.0, "center": (14.2, 25.9)},
}


def inputs(
    seed: int, size: float, opacity: float, center: tuple[float, float]
) -> dict[str, np.ndarray]:
    """A cloud before a turned camera, some of it behind."""
    draw = np.random.default_rng(seed)
    sin, cos = np.sin(0.4), np.cos(0.4)
    pose = np.eye(4)
    pose[:3, :3] = [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]
    pose[:3, 3] = [0.1, -0.05, 1.5]
    found = {
        "means": draw.uniform(-1, 1, (COUNT, 3)) * [1, 1, 2],
        "log_scales": np.log(size) + draw.normal(0, 0.5, (COUNT, 3)),
        "quats": draw.normal(size=(COUNT, 4)),
        "logit_opacities": opacity + draw.normal(0, 1.5, COUNT),
        "sh": draw.normal(0, 0.4, (COUNT, 16, 3)),
        "pose": pose,
        "intrinsics": np.asarray([[40, 0, center[0]], [0, 44, center[1]], [0, 0, 1]]),
        "d_color": draw.normal(size=(*SIZE[::-1], 3)),
        "d_alpha": draw.normal(size=SIZE[::-1]),
    }
    return {name: np.asarray(value, np.float32) for name, value in found.items()}


def outputs(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parts of a render, the image, and the gradient of every parameter."""
    peer = gsplat_peer.Peer(given, given["intrinsics"], SIZE)
    means2d, conics, _, colors, depths, radii = peer._project()
    with torch.no_grad():
        color, alpha = peer.render()
    _, gradients = peer.run(*(torch.tensor(given[k]) for k in ("d_color", "d_alpha")))
    parts = {"means2d": means2d, "conics": conics, "depths": depths, "colors": colors}
    found = {name: part[0].detach().numpy() for name, part in parts.items()}
    found |= {"seen": (radii[0] > 0).all(-1).numpy()}
    found |= {"color": color.numpy(), "alpha": alpha.numpy()}
    named = zip(peer.names, gradients, strict=True)
    return found | {f"d_{name}": gradient.numpy() for name, gradient in named}


def main() -> None:
    """Writes the arrays and where they come from."""
    arrays = {}
    for scene, choices in SCENES.items():
        given = inputs(**choices)
        both = given | outputs(given)
        arrays |= {f"{scene}.{name}": value for name, value in both.items()}
    np.savez_compressed(GOLDEN.with_suffix(".npz"), **arrays)
    told = {
        "upstream": {name: version(name) for name in ("gsplat", "torch")},
        "scenes": SCENES,
        "dtype": "float32",
        "tolerance": {
            "parts": "relative 1e-4: two float32 inverses of a 2 x 2 matrix",
            "image": "mean 1e-6, 99.9 % within 1e-5: a pair at a threshold is a step",
            "gradient": "relative L2 2e-5, of the pose 1e-4",
        },
    }
    GOLDEN.with_suffix(".json").write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
