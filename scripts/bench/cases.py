"""The scenes that renderers are timed on, and how their figures are told."""

import os
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.geometry.cameras import Cameras
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.rasterize import render
from aw_jax.splat.settings import RenderSettings

SHARED = Path(os.environ.get("AW_SHARED", Path(__file__).parents[3] / "shared"))
GARDEN = SHARED / "scenes" / "garden_points" / "test_garden.npz"
PARAMETERS = ("means", "quats", "log_scales", "logit_opacities", "sh")
Case = tuple[dict[str, np.ndarray], np.ndarray, tuple[int, int]]


def random_case(count: int, side: int) -> Case:
    """Gaussians scattered over a square view, a few pixels wide each."""
    draw = np.random.default_rng(0)
    depth = draw.uniform(2, 6, count)
    screen = draw.uniform(-0.52, 0.52, (count, 2))
    pixels = np.exp(draw.uniform(np.log(1), np.log(5), (count, 3)))
    arrays = {
        "means": np.concatenate([screen * depth[:, None], depth[:, None]], axis=1),
        "log_scales": np.log(pixels * depth[:, None] / side),
        "logit_opacities": draw.uniform(-3, 3, count),
        "sh": draw.normal(0, 0.2, (count, 16, 3)),
        "quats": draw.normal(size=(count, 4)),
        "pose": np.eye(4),
    }
    intrinsics = np.asarray([[side, 0, side / 2], [0, side, side / 2], [0, 0, 1]])
    return _float32(arrays), intrinsics.astype(np.float32), (side, side)


def garden_case() -> Case:
    """The garden's points as Gaussians of gsplat's own test: random shapes."""
    if not GARDEN.exists():
        sys.exit(f"error: {GARDEN} is missing; choose --cases 512 or set AW_SHARED.")
    data, draw = np.load(GARDEN), np.random.default_rng(0)
    pose, means = data["viewmats"][0], data["means3d"]
    ahead = means @ pose[2, :3] + pose[2, 3] > 0.2
    count = int(ahead.sum())
    sh = draw.normal(0, 0.1, (count, 16, 3))
    sh[:, 0] = (data["colors"][ahead] / 255 - 0.5) / 0.28209479177387814
    arrays = {
        "means": means[ahead],
        "log_scales": np.log(draw.uniform(1e-3, 0.02, (count, 3))),
        "logit_opacities": draw.uniform(-3, 3, count),
        "sh": sh,
        "quats": draw.normal(size=(count, 4)),
        "pose": pose,
    }
    size = (int(data["width"]), int(data["height"]))
    return _float32(arrays), data["Ks"][0].astype(np.float32), size


def _float32(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k: v.astype(np.float32) for k, v in arrays.items()}


def cotangents(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(1)
    shape = (size[1], size[0])
    return _pair(draw.normal(size=(*shape, 3)), draw.normal(size=shape))


def _pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return a.astype(np.float32), b.astype(np.float32)


def splat_and_camera(case: Case) -> tuple[Splat, Cameras]:
    arrays, intrinsics, size = case
    splat = Splat(**{name: jnp.asarray(arrays[name]) for name in PARAMETERS})
    pose = jnp.asarray(arrays["pose"])
    return splat, Cameras(
        camera_from_world=pose,
        intrinsics=jnp.asarray(intrinsics),
        width=size[0],
        height=size[1],
    )


def our_run(
    case: Case, backend: Any, outer: Sequence[np.ndarray] | None = None
) -> Callable[[], tuple[Any, list[Any]]]:
    """Forward and backward of ours; returns the image and gradients.

    `outer`: the cotangents of color and alpha, in place of `cotangents`.
    """
    settings = RenderSettings(backend=backend, max_alpha=0.999)
    splat, camera = splat_and_camera(case)
    d_color, d_alpha = map(jnp.asarray, outer or cotangents(case[2]))

    def loss(splat: Splat, camera: Cameras, d_color: Any, d_alpha: Any) -> Any:
        out = render(splat, camera, settings=settings)
        return jnp.sum(out.color * d_color) + jnp.sum(out.alpha * d_alpha), out.color

    step = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))

    def run() -> tuple[Any, list[Any]]:
        outcome = jax.block_until_ready(step(splat, camera, d_color, d_alpha))
        (d_splat, d_camera), color = outcome
        grads = [getattr(d_splat, name) for name in PARAMETERS]
        return color, [*grads, d_camera.camera_from_world]

    return run


def ratio(ours: list[float], peers: list[float]) -> dict[str, Any]:
    each = [a / b for a, b in zip(ours, peers, strict=True)]
    value = statistics.median(ours) / statistics.median(peers)
    return figure(value, [min(each), max(each)])


def figure(value: float, spread: list[float]) -> dict[str, Any]:
    return {"value": value, "unit": "ratio", "better": "lower", "spread": spread}


def machine() -> dict[str, Any]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    load = os.getloadavg()[0]
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "load": load}
