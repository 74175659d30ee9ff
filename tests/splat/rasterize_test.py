"""The renderer against the dense float64 oracle, values and every gradient.

Float32 and float64 may decide differently at alpha = 1/255 and T = 1e-4, which moves a
pixel by up to 1/255: hence a mean and a quantile for images, and norms for gradients.

Scenes are made in numpy, `Splat` and `Cameras` from them at either precision.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.pytrees import replace
from aw_jax.geometry.cameras import Cameras
from aw_jax.splat import gaussians, rasterize, reference
from aw_jax.splat.gaussians import Splat
from aw_jax.splat.kernels import native
from aw_jax.splat.rasterize import RenderSettings, render

COUNT, WIDTH, HEIGHT = 120, 45, 37
XLA = RenderSettings(backend="xla")
BACKENDS = [XLA, RenderSettings(backend="pallas", capacity=100)]
if native.available():
    BACKENDS.append(RenderSettings(backend="native"))
BACKGROUND = np.asarray([0.2, 0.5, 0.9])
LEAVES = "means log_scales quats logit_opacities sh poses intrinsics background offsets"
LEAVES = (*LEAVES.split(), "depth_offsets", "tagged")


def random_splat(seed, count=COUNT, *, size=0.12, spread=1.0, opacity=0.0, degree=3):
    draw = np.random.default_rng(seed)
    return {
        "means": draw.uniform(-spread, spread, (count, 3)),
        "log_scales": np.log(size) + draw.normal(0, 0.5, (count, 3)),
        "quats": draw.normal(size=(count, 4)),
        "logit_opacities": opacity + draw.normal(0, 1.5, count),
        "sh": draw.normal(0, 0.4, (count, (degree + 1) ** 2, 3)),
    }


def pose(angle=0.3, distance=3.0):
    sin, cos = np.sin(angle), np.cos(angle)
    matrix = np.eye(4)
    matrix[:3, :3] = [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]
    matrix[:3, 3] = [0.1, -0.05, distance]
    return matrix


def camera(matrix, *, focal=45.0, center=(WIDTH / 2, HEIGHT / 2)):
    intrinsics = [[focal, 0, center[0]], [0, 1.1 * focal, center[1]], [0, 0, 1]]
    return {"camera_from_world": matrix, "intrinsics": np.asarray(intrinsics)}


def opaque_stack():
    """Many nearly opaque splats behind each other: the clamp and the early end."""
    splat = random_splat(3, size=0.3, spread=0.3, opacity=5.0)
    return splat, camera(pose(distance=2.0))


def level():
    """Every Gaussian at exactly the same depth: ties go by index."""
    splat = random_splat(4, size=0.2, opacity=1.0)
    splat["means"][:, 2] = 0
    matrix = np.eye(4)
    matrix[2, 3] = 2.0
    return splat, camera(matrix)


SCENES = {
    "random": lambda: (random_splat(0), camera(pose())),
    "around the camera": lambda: (random_splat(1, spread=2), camera(pose(0.7, 0.1))),
    "huge": lambda: (random_splat(2, size=2.0, opacity=-2.0), camera(pose())),
    "below a pixel": lambda: (random_splat(5, size=0.005), camera(pose())),
    "opaque stack": opaque_stack,
    "off centre": lambda: (
        random_splat(6, size=0.2),
        camera(pose(), center=(-20.3, 60.9)),
    ),
    "equal depths": level,
}


def build(scene, dtype=np.float32):
    """The arrays of a scene as `Splat` and `Cameras`."""
    splat, camera = cast(scene, dtype)
    return Splat(**splat), Cameras(**camera, width=WIDTH, height=HEIGHT)


def cast(tree, dtype):
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)


def cotangents(seed=9):
    draw = np.random.default_rng(seed)
    return [draw.normal(size=(HEIGHT, WIDTH, *tail)) for tail in ((3,), (), (), ())]


def scalar(outputs, weights):
    return sum(jnp.sum(x * w) for x, w in zip(outputs, weights, strict=False))


def fast(splat, camera, background, *per_gaussian, settings):
    offsets, depth_offsets, tagged = per_gaussian
    images = render(
        splat,
        camera,
        settings=settings,
        background=background,
        screen_offsets=offsets,
        depth_offsets=depth_offsets,
        tagged=tagged,
    )
    return images.color, images.alpha, images.depth, images.tagged


def slow(splat, camera, background, *per_gaussian, settings):
    offsets, depth_offsets, tagged = per_gaussian
    return reference.render(
        splat,
        camera,
        settings=settings,
        background=background,
        screen_offsets=offsets,
        depth_offsets=depth_offsets,
        tagged=tagged,
    )


def per_gaussian(count=COUNT, shuffle=0.0):
    """Offsets on the screen and in depth, of this deviation, and tags."""
    draw = np.random.default_rng(2)
    depth_offsets = draw.normal(0, shuffle, count)
    return np.zeros((count, 2)), depth_offsets, draw.uniform(0, 1, count)


@functools.partial(jax.jit, static_argnames=("renderer", "settings"))
def outputs_and_gradients(renderer, arguments, weights, settings):
    def loss(arguments):
        outputs = renderer(*arguments, settings=settings)
        return scalar(outputs, weights), outputs

    (_, outputs), gradients = jax.value_and_grad(loss, has_aux=True)(arguments)
    return outputs, gradients


def both(scene, settings, shuffle=0.0):
    """Outputs and gradients, ours in float32 and the oracle's in float64."""

    def run(renderer, settings, dtype):
        fixed = cast((BACKGROUND, *per_gaussian(shuffle=shuffle)), dtype)
        arguments = (*build(scene, dtype), *fixed)
        weights = cast(cotangents(), dtype)
        out = outputs_and_gradients(renderer, arguments, weights, settings)
        return jax.tree.map(np.asarray, out)

    ours = run(fast, settings, np.float32)
    with jax.enable_x64():
        oracles = replace(settings, backend="auto", capacity=None)
        return ours, run(slow, oracles, np.float64)


def assert_images_close(ours, oracle):
    """Expected depth is a quotient by alpha: there its error counts times alpha."""
    errors = [np.abs(a - b) for a, b in zip(ours, oracle, strict=True)]
    errors[2] *= oracle[1]
    for error in errors:
        assert error.mean() < 1e-6
        assert np.mean(error < 1e-5) > 0.999


def assert_gradients_close(ours, oracle):
    ours, oracle = jax.tree.leaves(ours), jax.tree.leaves(oracle)
    for name, a, b in zip(LEAVES[: len(ours)], ours, oracle, strict=True):
        if name == "depth_offsets":  # they change the order alone
            assert not a.any()
            continue
        error = np.linalg.norm(a - b) / np.linalg.norm(b)
        limit = 1e-3 if name in ("poses", "intrinsics") else 1e-4
        assert error < limit, f"{name}: relative error {error:.1e}"


@pytest.mark.parametrize("settings", BACKENDS, ids=lambda s: s.backend)
@pytest.mark.parametrize("name", SCENES)
def test_images_and_gradients_match_the_oracle(name, settings):
    (ours, gradients), (oracle, expected) = both(SCENES[name](), settings)
    assert oracle[1].max() > 0.3, "the scene shows nothing"
    assert_images_close(ours, oracle)
    assert_gradients_close(gradients, expected)


def test_every_option_at_once_matches_the_oracle():
    """Among them an order by depth that is wrong in many places."""
    settings = RenderSettings(
        backend="xla",
        near=2.2,
        far=3.8,
        antialiased=True,
        low_pass=0.1,
        depth="accumulated",
        max_alpha=0.999,
        sh_degree=2,
    )
    scene = random_splat(7, size=0.05, opacity=3.0), camera(pose())
    (ours, gradients), (oracle, expected) = both(scene, settings, shuffle=0.3)
    assert_images_close(ours, oracle)
    assert_gradients_close(gradients, expected)


@pytest.mark.parametrize("settings", BACKENDS, ids=lambda s: s.backend)
def test_a_wrong_order_matches_the_oracle_and_differs_from_the_right_one(settings):
    (right, _), _ = both(SCENES["opaque stack"](), settings)
    (ours, _), (oracle, _) = both(SCENES["opaque stack"](), settings, shuffle=0.3)
    assert_images_close(ours, oracle)
    assert np.abs(ours[0] - right[0]).max() > 0.1


def test_without_a_low_pass_filter_a_splat_shrinks_to_its_own_size():
    """A round splat of a tenth of a pixel, on a pixel's centre, covers just that."""
    splat = random_splat(0, count=1)
    splat["means"][:] = [[0.5 / 45, 0.5 / 49.5, 1.0]]
    splat["log_scales"][:] = np.log(0.1 / 45)
    view = camera(np.eye(4), center=(20.0, 20.0))
    covered = [
        render(*build((splat, view)), settings=RenderSettings(low_pass=width)).alpha > 0
        for width in (0.0, 0.3)
    ]
    assert covered[0].sum() == 1
    assert covered[0][20, 20]
    assert covered[1].sum() > 1


def test_tags_of_all_are_alpha_and_those_of_two_halves_add_up_to_it():
    splat, view = build(SCENES["random"]())
    half = jnp.asarray(np.arange(COUNT) % 2, jnp.float32)
    images = [
        render(splat, view, tagged=tags) for tags in (jnp.ones(COUNT), half, 1 - half)
    ]
    whole, one, other = (np.asarray(seen.tagged) for seen in images)
    np.testing.assert_allclose(whole, images[0].alpha, atol=1e-6)
    np.testing.assert_allclose(one + other, whole, atol=1e-6)
    assert min(one.max(), other.max()) > 0.3
    assert render(splat, view).tagged is None


def test_gradient_matches_finite_differences():
    """Along random directions, in float64; no pair crosses 1/255 within the step.

    One moves everything, one the pose alone, one the intrinsics alone.
    """
    scene = random_splat(8, count=20, size=0.3, degree=1), camera(pose())
    draw = np.random.default_rng(1)
    with jax.enable_x64():
        weights = cast(cotangents(), np.float64)
        fixed = cast((BACKGROUND, *per_gaussian(20)), np.float64)
        start = (*build(scene, np.float64), *fixed)
        along = jax.tree.map(lambda x: jnp.asarray(draw.normal(size=x.shape)), start)
        still = jax.tree.map(jnp.zeros_like, start)
        moved = ("camera_from_world", "intrinsics")
        cameras = [replace(still[1], **{n: getattr(along[1], n)}) for n in moved]

        @jax.jit
        @jax.value_and_grad
        def loss(step, along):
            at = jax.tree.map(lambda x, d: x + step * d, start, along)
            return scalar(fast(*at, settings=XLA), weights)

        h = 1e-7
        for way in (along, *((still[0], c, *still[2:]) for c in cameras)):
            difference = (loss(h, way)[0] - loss(-h, way)[0]) / (2 * h)
            assert abs(difference) > 1
            np.testing.assert_allclose(loss(0.0, way)[1], difference, rtol=1e-5)


@pytest.mark.parametrize("capacity", [100, 500])
def test_any_capacity_gives_the_whole_image(capacity):
    splat, view = build(SCENES["random"]())
    weights = cast(cotangents(), np.float32)
    arguments = (splat, view, *cast((BACKGROUND, *per_gaussian()), np.float32))
    whole = outputs_and_gradients(fast, arguments, weights, XLA)
    settings = RenderSettings(backend="xla", capacity=capacity)
    parts = outputs_and_gradients(fast, arguments, weights, settings)
    stats = render(splat, view, settings=XLA).stats
    assert stats.intersections > capacity
    assert not stats.overflow
    for a, b in zip(*map(jax.tree.leaves, (whole, parts)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_splat_without_gaussians_shows_the_background():
    _, view = build(SCENES["random"]())
    background = jnp.asarray([0.1, 0.2, 0.3])

    def mean(background):
        images = render(gaussians.empty(), view, background=background)
        return images.color.mean(axis=(0, 1)).sum(), images

    gradient, images = jax.grad(mean, has_aux=True)(background)
    np.testing.assert_allclose(images.color[0, 0], background)
    assert not images.alpha.any()
    assert not images.depth.any()
    np.testing.assert_allclose(gradient, jnp.ones(3), rtol=1e-6)


def test_dead_and_hidden_gaussians_change_nothing_and_get_no_gradient():
    splat, view = build(SCENES["random"]())
    behind = replace(splat, means=splat.means * 0 + jnp.asarray([0.0, 0.0, -5.0]))
    logits = jnp.full(COUNT, gaussians.DEAD_LOGIT)
    dead = replace(splat, logit_opacities=logits, means=splat.means * 1e-9)
    every = gaussians.concatenate([behind, splat, dead])

    def loss(splat):
        images = render(splat, view, settings=XLA)
        return jnp.sum(images.color**2), images

    gradient, images = jax.jit(jax.grad(loss, has_aux=True))(every)
    alone = render(splat, view, settings=XLA)
    np.testing.assert_allclose(images.color, alone.color, atol=1e-6)
    assert not images.stats.radii[:COUNT].any()
    assert not images.stats.radii[-COUNT:].any()
    for leaf in jax.tree.leaves(gradient):
        assert not leaf[:COUNT].any()
        assert not leaf[-COUNT:].any()
        assert jnp.isfinite(leaf).all()


def test_expected_depth_of_a_wall_is_its_distance():
    images = render(*build(level()), settings=XLA)
    np.testing.assert_allclose(images.depth[images.alpha > 0.01], 2.0, rtol=1e-5)
    assert not images.depth[images.alpha == 0].any()


@pytest.mark.parametrize("settings", BACKENDS, ids=lambda s: s.backend)
def test_second_call_compiles_nothing(settings):
    splat, view = build(SCENES["random"]())
    other = jax.tree.map(lambda x: x * 1.01, view)
    kernel: Any = {
        "xla": rasterize.xla.forward,
        "pallas": rasterize.pallas.forward,
        "native": native._forward,
    }[settings.backend]
    functions: Any = (rasterize._prepare, rasterize._finish, kernel)
    render(splat, view, settings=settings)
    before = [function._cache_size() for function in functions]
    render(splat, other, settings=replace(settings))
    assert before == [function._cache_size() for function in functions]


def test_a_render_asks_that_compiles_hand_memory_back(monkeypatch):
    asked: list[bool] = []
    name = "return_pages_after_compiling"
    monkeypatch.setattr(rasterize, name, lambda: asked.append(True))
    render(*build(SCENES["random"]()))
    assert asked
