"""The renderer beside gsplat 1.5.3 in torch (scripts/goldens/gsplat_render.py)."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.geometry.cameras import Cameras
from aw_jax.splat import projection
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.kernels import native
from aw_jax.splat.rasterize import RenderSettings, render

GOLDEN = Path(__file__).parents[1] / "golden/gsplat"
PROVENANCE = json.loads(GOLDEN.with_suffix(".json").read_text())
PARAMETERS = ("means", "log_scales", "quats", "logit_opacities", "sh")
BACKENDS = ["xla", *(["native"] if native.available() else [])]


@pytest.fixture(scope="module", params=PROVENANCE["scenes"])
def golden(request):
    with np.load(GOLDEN.with_suffix(".npz")) as file:
        prefix = f"{request.param}."
        found = {n: file[n] for n in file.files if n.startswith(prefix)}
        return {name.removeprefix(prefix): value for name, value in found.items()}


def inputs(golden):
    splat = Splat(**{name: jnp.asarray(golden[name]) for name in PARAMETERS})
    height, width = golden["alpha"].shape
    camera = Cameras(
        camera_from_world=jnp.asarray(golden["pose"]),
        intrinsics=jnp.asarray(golden["intrinsics"]),
        width=width,
        height=height,
    )
    return splat, camera


def settings(backend="auto"):
    return RenderSettings(backend=backend, max_alpha=0.999)


def test_gsplat_is_the_pinned_one():
    assert PROVENANCE["upstream"]["gsplat"] == "1.5.3"


@pytest.mark.parametrize("name", ["means2d", "conics", "depths", "colors"])
def test_parts_agree_where_a_gaussian_is_seen(name, golden):
    splat, camera = inputs(golden)
    batch = jax.tree.map(lambda x: x[None], camera)
    projected = projection.project(splat, batch, settings())
    found = (
        projection.shade(splat, batch, settings())
        if name == "colors"
        else getattr(projected, name)
    )
    seen = golden["seen"] & (np.asarray(projected.radii[0]) > 0).all(-1)
    assert seen.sum() > 30
    wanted = golden[name][seen]
    error = np.abs(np.asarray(found[0])[seen] - wanted)
    # Relative to the row: a conic's entries come of one inverse.
    scale = np.abs(wanted).reshape(len(wanted), -1).max(axis=1)
    assert (error.reshape(len(wanted), -1).max(axis=1) / scale).max() < 1e-4


@pytest.mark.parametrize("backend", BACKENDS)
def test_images_agree(backend, golden):
    seen = render(*inputs(golden), settings=settings(backend))
    for name in ("color", "alpha"):
        error = np.abs(np.asarray(getattr(seen, name)) - golden[name])
        assert error.mean() < 1e-6
        assert np.quantile(error, 0.999) < 1e-5


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_agree(backend, golden):
    def scalar(splat, camera):
        seen = render(splat, camera, settings=settings(backend))
        color = jnp.sum(seen.color * golden["d_color"])
        return color + jnp.sum(seen.alpha * golden["d_alpha"])

    d_splat, d_camera = jax.grad(scalar, argnums=(0, 1))(*inputs(golden))
    found = {name: getattr(d_splat, name) for name in PARAMETERS}
    found["pose"] = d_camera.camera_from_world
    for name, ours in found.items():
        theirs = golden[f"d_{name}"]
        distance = np.linalg.norm(np.asarray(ours) - theirs)
        bound = 1e-4 if name == "pose" else 2e-5
        assert distance < bound * np.linalg.norm(theirs), name
