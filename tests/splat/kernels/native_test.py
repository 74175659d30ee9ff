"""The native compositor against a dense float64 one, written out here.

Tolerances: values 1e-5 and gradients 1e-4 relative L2 leave an order of magnitude over
float32 rounding. Scenes are small, so no pair is within rounding of a threshold.
"""

import hashlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.native import build
from aw_jax.splat.kernels import native, xla

pytestmark = pytest.mark.skipif(not native.available(), reason="needs a C++ compiler")


class Scene(NamedTuple):
    means2d: np.ndarray
    conics: np.ndarray
    opacities: np.ndarray
    features: np.ndarray
    depths: np.ndarray
    radii: np.ndarray


def scene(
    count, width, height, *, channels=4, seed=0, views=1, sigma=(0.5, 6), opacity=None
):
    """Rotated ellipses of standard deviations `sigma`, scattered past the borders."""
    draw = np.random.default_rng(seed)
    screen = np.asarray([width, height])
    means = draw.uniform(-0.2 * screen, 1.2 * screen, (views, count, 2))
    a, b = np.exp(draw.uniform(*np.log(sigma), (2, views, count))) ** 2
    turn = draw.uniform(0, np.pi, (views, count))
    cos, sin = np.cos(turn), np.sin(turn)
    xx, yy = cos**2 * a + sin**2 * b + 0.3, sin**2 * a + cos**2 * b + 0.3
    xy = cos * sin * (a - b)
    det = xx * yy - xy**2
    made = Scene(
        means2d=means,
        conics=np.stack([yy, -xy, xx], axis=-1) / det[..., None],
        opacities=draw.uniform(*(opacity or (0.01, 1)), (views, count)),
        features=draw.uniform(0, 1, (views, count, channels)),
        depths=draw.uniform(1, 5, (views, count)),
        radii=np.ceil(3.33 * np.sqrt(np.stack([xx, yy], axis=-1))),
    )
    return Scene(*(x.astype(np.float32) for x in made))


def view(scene, index):
    return Scene(*(x[index] for x in scene))


def pairs(scene, width, height, max_alpha):
    """Per gaussian of one view, front to back, what it does to every pixel."""
    scene = Scene(*(x.astype(np.float64) for x in scene))
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    left, open_ = np.ones((height, width)), np.ones((height, width), bool)
    for i in np.argsort(scene.depths, kind="stable"):
        if not np.all(scene.radii[i] > 0):
            continue
        dx, dy = scene.means2d[i, 0] - x, scene.means2d[i, 1] - y
        a, b, c = scene.conics[i]
        sigma = (a * dx * dx + c * dy * dy) / 2 + b * dx * dy
        raw = scene.opacities[i] * np.exp(-sigma)
        hit = (sigma >= 0) & (raw >= 1 / 255) & open_
        alpha = np.minimum(raw, max_alpha)
        blended = hit & (left * (1 - alpha) > 1e-4)
        open_ = open_ & (blended | ~hit)
        alpha = np.where(blended, alpha, 0)
        yield i, dx, dy, alpha, left, blended & (raw <= max_alpha)
        left = left * (1 - alpha)
    yield None, None, None, None, left, None


def dense_forward(scene, width, height, max_alpha):
    image = np.zeros((height, width, scene.features.shape[-1]))
    for i, _, _, alpha, left, _ in pairs(scene, width, height, max_alpha):
        if i is None:
            return image, left
        image += (alpha * left)[..., None] * scene.features[i]
    raise AssertionError


def dense_backward(scene, d_image, d_left, max_alpha):
    """Back to front, dividing by what each gaussian let through."""
    height, width, _ = d_image.shape
    *tape, (_, _, _, _, left, _) = pairs(scene, width, height, max_alpha)
    grads = Scene(*(np.zeros(x.shape) for x in scene))
    behind = left * d_left
    for i, dx, dy, alpha, left, moves in reversed(tape):
        a, b, c = scene.conics[i].astype(np.float64)
        seen = d_image @ scene.features[i].astype(np.float64)
        d_alpha = left * seen - behind / (1 - alpha)
        d_sigma = np.where(moves, -d_alpha * alpha, 0)
        behind = behind + alpha * left * seen
        grads.features[i] = np.einsum("hwc,hw->c", d_image, alpha * left)
        grads.opacities[i] = -d_sigma.sum() / scene.opacities[i]
        moments = [(d_sigma * k).sum() for k in (dx, dy, dx * dx, dx * dy, dy * dy)]
        grads.means2d[i] = (
            a * moments[0] + b * moments[1],
            b * moments[0] + (c * moments[1]),
        )
        grads.conics[i] = moments[2] / 2, moments[3], moments[4] / 2
    return grads.means2d, grads.conics, grads.opacities, grads.features


def cotangents(image, left, seed=1):
    draw = np.random.default_rng(seed)
    return tuple(draw.normal(size=x.shape).astype(np.float32) for x in (image, left))


def on_screen(width, height, max_alpha=0.99) -> dict[str, Any]:
    return {"width": width, "height": height, "max_alpha": max_alpha}


def on_device(arrays):
    return jax.tree.map(jnp.asarray, arrays)


def run(scene, width, height, max_alpha=0.99, module=native):
    """Images, transmittance and gradients under fixed random cotangents."""
    sizes = on_screen(width, height, max_alpha)
    scene = on_device(scene)
    image, left, _, _, *known = module.forward(*scene, **sizes)
    outer = on_device(cotangents(image, left))
    grads = module.backward(*scene, image, left, *outer, *known, **sizes)
    return image, left, grads


def assert_gradients_close(found, wanted, tolerance=1e-4):
    names = ("means2d", "conics", "opacities", "features")
    for name, ours, theirs in zip(names, found, wanted, strict=True):
        error = np.linalg.norm(ours - theirs)
        assert error <= tolerance * np.linalg.norm(theirs) + 1e-7, (name, error)


def assert_matches_dense(scene, width, height, max_alpha=0.99, module=native):
    image, left, grads = run(scene, width, height, max_alpha, module)
    outer = cotangents(image, left)
    for v in range(image.shape[0]):
        wanted, wanted_left = dense_forward(view(scene, v), width, height, max_alpha)
        np.testing.assert_allclose(image[v], wanted, atol=1e-5)
        np.testing.assert_allclose(left[v], wanted_left, atol=1e-5)
        d_image, d_left = (np.float64(x[v]) for x in outer)
        wanted = dense_backward(view(scene, v), d_image, d_left, max_alpha)
        assert_gradients_close([g[v] for g in grads], wanted)


@pytest.mark.parametrize("channels", [1, 3, 4, 7])
def test_random_scene_matches_dense(channels):
    assert_matches_dense(scene(70, 37, 29, channels=channels), 37, 29)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 3), (5, 33), (48, 31)])
def test_any_image_size_matches_dense(size):
    assert_matches_dense(scene(40, *size, seed=2), *size)


def test_batch_of_views_matches_dense():
    assert_matches_dense(scene(30, 33, 20, views=5, seed=3), 33, 20)


def test_opaque_stack_stops_and_clamps_like_dense():
    stack = scene(60, 24, 18, seed=4, sigma=(5, 30), opacity=(0.97, 1))
    assert_matches_dense(stack, 24, 18)
    assert_matches_dense(stack, 24, 18, max_alpha=0.999)


def test_huge_gaussians_match_dense():
    assert_matches_dense(scene(40, 40, 30, seed=5, sigma=(100, 3000)), 40, 30)


def test_needles_match_dense():
    assert_matches_dense(scene(60, 40, 30, seed=6, sigma=(0.05, 200)), 40, 30)


def test_sub_pixel_gaussians_match_dense():
    assert_matches_dense(scene(200, 40, 30, seed=7, sigma=(1e-4, 1e-3)), 40, 30)


def test_faint_gaussians_match_dense():
    faint = scene(80, 40, 30, seed=8, opacity=(0.9 / 255, 1.5 / 255))
    assert_matches_dense(faint, 40, 30)


def test_many_layers_over_one_tile_match_dense():
    assert_matches_dense(scene(300, 16, 16, seed=9, opacity=(0.01, 0.1)), 16, 16)


def test_equal_depths_are_blended_in_order_of_index():
    flat = scene(50, 30, 20, seed=10)
    assert_matches_dense(flat._replace(depths=np.full_like(flat.depths, 2)), 30, 20)


def test_negative_and_tiny_depths_sort_by_value():
    mixed = scene(50, 30, 20, seed=11)
    depths = np.where(mixed.depths > 3, mixed.depths * 1e-30, -mixed.depths)
    assert_matches_dense(mixed._replace(depths=depths), 30, 20)


def test_no_gaussians_leave_all_light():
    image, left, grads = run(scene(0, 20, 10), 20, 10)
    assert not np.any(image)
    assert np.all(left == 1)
    assert [g.shape for g in grads] == [(1, 0, 2), (1, 0, 3), (1, 0), (1, 0, 4)]


def test_off_screen_gaussians_cost_nothing():
    far = scene(50, 20, 10)
    far = far._replace(means2d=far.means2d + np.float32(1e4))
    _, left, pairs, overflow = native.forward(*on_device(far), **on_screen(20, 10))
    assert np.all(left == 1)
    assert pairs.tolist() == [0]
    assert overflow.tolist() == [False]


@pytest.mark.parametrize("field", Scene._fields)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_gaussians_are_not_drawn(field, value):
    good = scene(20, 30, 20, seed=12)
    bad = Scene(*(np.concatenate([x, x[:, :7]], axis=1) for x in good))
    if field == "radii":  # integers in the kernel: culled is the only special value
        value = 0
    getattr(bad, field)[:, 20:] = value
    image, left, grads = run(bad, 30, 20)
    wanted_image, wanted_left, wanted_grads = run(good, 30, 20)
    np.testing.assert_array_equal(image, wanted_image)
    np.testing.assert_array_equal(left, wanted_left)
    for ours, theirs in zip(grads, wanted_grads, strict=True):
        np.testing.assert_array_equal(ours[:, :20], theirs)
        assert not np.any(ours[:, 20:])


def test_indefinite_conics_are_not_drawn():
    odd = scene(5, 30, 20)
    odd.conics[:, :, 1] = 10
    image, left, grads = run(odd, 30, 20)
    assert not np.any(image)
    assert np.all(left == 1)
    assert not any(np.any(g) for g in grads)


def test_vmap_equals_one_call_with_more_views():
    batch = scene(40, 30, 20, views=6, seed=13)
    split = Scene(*(x.reshape(3, 2, *x.shape[1:]) for x in batch))
    image, left, grads = run(batch, 30, 20)
    outer = cotangents(image, left)
    both = jax.tree.map(
        lambda x: x.reshape(3, 2, *x.shape[1:]),
        on_device((*batch, image, left, *outer)),
    )
    sizes = on_screen(30, 20)
    mapped = jax.vmap(lambda *x: native.forward(*x, **sizes))(*on_device(split))
    np.testing.assert_array_equal(mapped[0].reshape(image.shape), image)
    mapped = jax.vmap(lambda *x: native.backward(*x, **sizes))(*both)
    for ours, theirs in zip(mapped, grads, strict=True):
        np.testing.assert_array_equal(ours.reshape(theirs.shape), theirs)


def test_vmap_over_features_alone_broadcasts_the_rest():
    one = on_device(scene(40, 30, 20, seed=14))
    stacked = jnp.stack([one.features, 2 * one.features])
    sizes = on_screen(30, 20)

    def blend(features):
        return native.forward(*one._replace(features=features), **sizes)[0]

    image = jax.jit(jax.vmap(blend))(stacked)
    np.testing.assert_array_equal(image[0], blend(stacked[0]))
    np.testing.assert_array_equal(image[1], blend(stacked[1]))


def test_agrees_with_xla():
    large = scene(1500, 70, 50, views=2, seed=15, sigma=(0.5, 4))
    image, left, grads = run(large, 70, 50)
    wanted_image, wanted_left, wanted_grads = run(large, 70, 50, module=xla)
    np.testing.assert_allclose(image, wanted_image, atol=1e-5)
    np.testing.assert_allclose(left, wanted_left, atol=1e-5)
    assert_gradients_close(grads, wanted_grads)


def test_most_lanes_evaluated_are_useful():
    full = scene(400, 128, 128, seed=16, sigma=(2, 6))
    sizes = on_screen(128, 128)
    lanes = int(native.lanes_evaluated(*on_device(full), **sizes)[0])
    used = sum(
        np.count_nonzero(alpha)
        for _, _, _, alpha, _, _ in pairs(view(full, 0), 128, 128, 0.99)
        if alpha is not None
    )
    assert used <= lanes <= 2 * used


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_every_lane_width_compiles_and_those_that_run_here_agree(lanes, at_lanes):
    wide = scene(300, 70, 50, views=2, seed=18)
    wanted = run(wide, 70, 50)
    if not at_lanes(native, lanes, *build.MATHS):
        return
    image, left, grads = run(wide, 70, 50)
    np.testing.assert_allclose(image, wanted[0], atol=1e-5)
    np.testing.assert_allclose(left, wanted[1], atol=1e-5)
    assert_gradients_close(grads, wanted[2])


def test_too_many_channels_are_an_error():
    with pytest.raises(ValueError, match="at most 32 channels, got 33"):
        run(scene(2, 8, 8, channels=33), 8, 8)


def fingerprint():
    """A hash of all output bits of a scene large enough for several chunks."""
    large = scene(20_000, 130, 90, seed=17, sigma=(0.3, 2))
    digest = hashlib.sha256()
    for x in jax.tree.leaves(run(large, 130, 90)):
        digest.update(np.asarray(x).tobytes())
    return digest.hexdigest()


def test_one_thread_gives_the_same_bits_as_many(on_one_processor):
    assert on_one_processor(__file__, "fingerprint") == fingerprint()
