"""What each statistic answers to, on a wall that a camera glides along.

The camera moves parallel to a textured plane, two pixels a frame, so that every change
can be made by hand: fixed to the plane, to the picture, or to one frame.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from aw_jax.core.pytrees import replace
from aw_jax.dataengine.artifacts import statistics_rendering as rendering
from aw_jax.dataengine.artifacts.seen import Seen
from aw_jax.geometry.cameras import Cameras, project

FRAMES, SIZE, STEP, DEPTH, FOCAL = 5, 40, 2, 4.0, 40.0
NAMES = ("aliasing", "blurring", "popping", "ghosting", "color_outliers")


def glide(picture):
    """Frames of a wide picture."""
    starts = [STEP * f for f in range(FRAMES)]
    return np.stack([picture[:, a : a + SIZE] for a in starts]).astype(np.float32)


def texture(seed=0, channels=3):
    rng = np.random.default_rng(seed)
    rough = rng.uniform(size=(SIZE, SIZE + STEP * FRAMES, channels))
    return 0.5 + 1.2 * (ndimage.gaussian_filter(rough, (1, 1, 0)) - 0.5)


@pytest.fixture(scope="module")
def wall():
    poses = np.tile(np.eye(4), (FRAMES, 1, 1))
    poses[:, 0, 3] = -np.arange(FRAMES) * STEP * DEPTH / FOCAL
    k = np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1]])
    cameras = Cameras(
        camera_from_world=jnp.asarray(poses, jnp.float32),
        intrinsics=jnp.asarray(np.tile(k, (FRAMES, 1, 1)), jnp.float32),
        width=SIZE,
        height=SIZE,
    )
    clean = glide(texture())
    flat = np.ones(clean.shape[:3], np.float32)
    return Seen(
        clean=clean,
        broken=clean,
        clean_alpha=flat,
        broken_alpha=flat,
        clean_depth=DEPTH * flat,
        broken_depth=DEPTH * flat,
        cameras=cameras,
    )


def figures(seen):
    return {name: getattr(rendering, name)(seen) for name in NAMES}


def test_nothing_shows_where_nothing_is_broken(wall):
    assert set(figures(wall).values()) == {0.0}


def test_a_surface_is_found_again_where_projection_puts_it(wall):
    turned = np.array(wall.cameras.camera_from_world)
    c, s = np.cos(0.1), np.sin(0.1)
    turned[1, :3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    cameras = replace(wall.cameras, camera_from_world=jnp.asarray(turned))
    seen = replace(wall, cameras=cameras)
    x, y, same = rendering._seen_again(seen, 0, 1)
    row, column = 11, 23
    point = (np.array([column, row]) + 0.5 - SIZE / 2) / FOCAL * DEPTH
    place, _ = project(cameras[1], jnp.array([[*point, DEPTH]]))
    assert (x[row, column], y[row, column]) == tuple(np.floor(place[0]).astype(int))
    hidden = replace(
        seen, clean_depth=wall.clean_depth * np.array([1, 0.5, 1, 1, 1])[:, None, None]
    )
    assert same.any()
    assert not rendering._seen_again(hidden, 0, 1)[2].any()


def test_what_is_fixed_to_a_surface_is_steady_and_what_is_fixed_to_the_picture_is_not(
    wall,
):
    spots = 0.2 * (texture(1) - 0.5)
    painted = replace(wall, broken=wall.clean + glide(spots))
    dirt = replace(wall, broken=wall.clean + spots[None, :, :SIZE].astype(np.float32))
    for name in ("aliasing", "popping"):
        statistic = getattr(rendering, name)
        assert statistic(painted) < 0.3 * statistic(dirt), name


def test_stairs_are_aliasing_and_a_flash_is_popping(wall):
    stairs = wall.clean[:, ::5, ::5].repeat(5, axis=1).repeat(5, axis=2)
    flash = wall.clean.copy()
    flash[2, 10:30, 10:30] += 0.3
    stairs, flash = (figures(replace(wall, broken=x)) for x in (stairs, flash))
    assert stairs["aliasing"] > 5 * flash["aliasing"]
    assert flash["popping"] > stairs["popping"]


def test_one_flash_pops_as_much_as_many(wall):
    once, often = wall.clean.copy(), wall.clean.copy()
    once[4] += 0.1
    often[::2] += 0.1
    once, often = (rendering.popping(replace(wall, broken=x)) for x in (once, often))
    # of `STEP` columns the surface is not seen again
    assert once == pytest.approx(0.1 * (SIZE - STEP) / SIZE, rel=1e-4)
    assert often == pytest.approx(once, rel=1e-4)


def test_where_little_is_seen_again_little_pops(wall):
    flash = wall.clean.copy()
    flash[2] += 0.1
    hidden = wall.clean_depth * np.array([1, 1, 2, 1, 1], np.float32)[:, None, None]
    hidden[2, :4] = DEPTH
    whole, tenth = (
        rendering.popping(replace(wall, broken=flash, clean_depth=depth))
        for depth in (wall.clean_depth, hidden)
    )
    assert tenth == pytest.approx(0.1 * whole, rel=0.1)


def test_blurring_is_the_share_of_lost_detail(wall):
    blurred = [ndimage.gaussian_filter(wall.clean, (0, s, s, 0)) for s in (0.5, 1, 4)]
    found = [rendering.blurring(replace(wall, broken=x)) for x in blurred]
    assert found == sorted(found)
    assert found[0] > 0.1
    assert found[-1] > 0.9
    sharper = 2 * wall.clean - blurred[0]
    assert rendering.blurring(replace(wall, broken=sharper)) < 0


def test_a_ghost_is_a_copy_to_one_side_and_blur_is_to_both(wall):
    wide = texture()
    copy = 0.3 * (np.roll(wide, 5, axis=1) - wide)
    ghost = replace(wall, broken=wall.clean + glide(copy))
    both = 0.15 * (np.roll(wide, 5, axis=1) + np.roll(wide, -5, axis=1) - 2 * wide)
    blur = replace(wall, broken=wall.clean + glide(both))
    assert rendering.ghosting(ghost) > 3 * rendering.ghosting(blur)


def test_copies_at_even_steps_explain_a_ghost_and_those_of_the_other_side_do_not(wall):
    wide, whole = texture(), np.ones(wall.clean.shape[:3], bool)
    found = {}
    for weight in (0.3, -0.3):
        change = sum(
            weight / k * (np.roll(wide, 4 * k, axis=1) - wide) for k in (1, 2, 3)
        )
        copies = [rendering._copies(wall.clean, whole, s) for s in (-4, 4)]
        change = glide(change)[whole]
        found[weight] = [rendering._explained(change, x) for x in copies]
    assert found[0.3][0] > 0.8 > 0.6 > found[0.3][1]
    assert found[-0.3][0] == pytest.approx(0, abs=1e-6)  # no opacity is negative


def test_color_outliers_have_chroma_that_nothing_around_has(wall):
    grey = replace(wall, clean=wall.clean.mean(axis=-1, keepdims=True).repeat(3, -1))
    tint = np.float32([0.1, 0.0, -0.1])
    red = rendering.color_outliers(replace(grey, broken=grey.clean + tint))
    assert red == pytest.approx(0.2 / 3 - rendering.SLIGHT, rel=1e-3)
    faint = rendering.color_outliers(replace(grey, broken=grey.clean + tint / 10))
    assert faint == 0
    light = rendering.color_outliers(replace(wall, broken=wall.clean + 0.1))
    assert light == pytest.approx(0, abs=1e-6)
    for near in (
        ndimage.gaussian_filter(wall.clean, (0, 1.5, 1.5, 0)),
        wall.clean[:, :, np.maximum(np.arange(SIZE) - 3, 0)],
    ):
        assert rendering.color_outliers(replace(wall, broken=near)) == 0
