"""The ray tracer against geometry that can be worked out by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.data.procedural.captures import pinhole
from aw_jax.data.procedural.palette import _pyramid
from aw_jax.data.procedural.rendering import depths, develop, photograph, rows
from aw_jax.data.procedural.seeds import TEST
from aw_jax.data.procedural.solids import FIRST, Builder, Material, along
from aw_jax.data.procedural.worlds import Light, Matter, ProceduralWorld, _frozen, scene
from aw_jax.geometry.rotations import look_at

WHITE = Material(texture=0, repeats=1.0)


BASE = scene(TEST.start)


def _f32(values):
    return jnp.asarray(values, jnp.float32)


def _world(builder, *, lamp=(0.0, 0.0, 50.0), above=0.0, color=1.0, texture=None):
    base = BASE
    atlas = jnp.full_like(base.matter.atlas, 255) if texture is None else texture
    light = Light(
        position=_f32(lamp),
        spread=_f32(0.0),
        color=_f32([color] * 3),
        above=_f32([above] * 3),
        below=_f32([above] * 3),
    )
    matter = Matter(solids=_frozen(builder), atlas=atlas, light=light)
    return ProceduralWorld(seed=0, kind="test", matter=matter, stage=base.stage)


SIZE = 49
"""One size, so that one compiled renderer serves all tests; three tiles a side."""
MIDDLE = SIZE // 2


def _camera(eye, target):
    up = np.array([0.0, 1.0, 0.0])
    pose = look_at(np.array(eye, float), np.array(target, float), up)
    return pinhole(np.asarray(pose)[None], np.pi / 2, SIZE, SIZE)


SHAPES = [
    ("box", (1.0, 1.0, 1.0), 4.0),
    ("ball", (1.0, 1.0, 2.0), 3.0),
    ("cylinder", (1.0, 1.0, 1.5), 3.5),
    ("card", (1.0, 1.0, 1.0), 5.0),
    ("disc", (1.0, 1.0, 1.0), 5.0),
]


@pytest.mark.parametrize(("kind", "radii", "expected"), SHAPES)
def test_depth_of_each_shape_on_the_axis(kind, radii, expected):
    builder = Builder()
    builder.add(kind, np.zeros(3), radii, WHITE)
    seen = depths(_world(builder), _camera((0, 0, 5), (0, 0, 0)))[0]
    np.testing.assert_allclose(seen[MIDDLE, MIDDLE], expected, rtol=1e-4)
    assert seen[0, 0] > 1e8


def test_depth_of_a_slanted_card_is_that_of_its_plane():
    builder = Builder()
    builder.add(
        "card", np.zeros(3), (30.0, 30.0, 1.0), WHITE, along(np.array([0.3, 0.2, 1]))
    )
    camera = _camera((0, 0, 5), (0, 0, 0))
    seen = np.asarray(depths(_world(builder), camera)[0])
    inverse = np.linalg.inv(np.asarray(camera.intrinsics[0]))
    world = np.linalg.inv(np.asarray(camera.camera_from_world[0]))
    y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    rays = np.stack([x, y, np.ones_like(x)], -1) @ inverse.T @ world[:3, :3].T
    normal = np.array([0.3, 0.2, 1])
    expected = -(world[:3, 3] @ normal) / (rays @ normal)
    np.testing.assert_allclose(seen, expected, rtol=1e-4)


def test_the_nearer_of_two_shapes_is_seen_whatever_their_order():
    for front, back in (("box", "ball"), ("disc", "cylinder"), ("ball", "box")):
        builder = Builder()
        builder.add(back, np.array([0, 0, -3.0]), (1.0, 1.0, 1.0), WHITE)
        builder.add(front, np.array([0, 0, 1.0]), (1.0, 1.0, 1.0), WHITE)
        seen = depths(_world(builder), _camera((0, 0, 5), (0, 0, 0)))[0]
        assert seen[MIDDLE, MIDDLE] <= 4.001


def test_lambert_shading_falls_with_the_cosine():
    for angle in (0.0, 0.7, 1.2):
        builder = Builder()
        builder.add("card", np.zeros(3), (9.0, 9.0, 1.0), WHITE)
        lamp = (1e4 * np.sin(angle), 0.0, 1e4 * np.cos(angle))
        image = photograph(_world(builder, lamp=lamp), _camera((0, 0, 5), (0, 0, 0)))
        np.testing.assert_allclose(
            image[0, MIDDLE, MIDDLE] ** 2, np.cos(angle), atol=2e-3
        )


def test_a_shape_before_the_lamp_throws_a_shadow():
    builder = Builder()
    builder.add("card", np.zeros(3), (9.0, 9.0, 1.0), WHITE)
    builder.add("box", np.array([3.0, 0, 3.0]), (0.5, 0.5, 0.5), WHITE)
    world = _world(builder, lamp=(300.0, 0.0, 300.0), above=0.1)
    image = np.asarray(photograph(world, _camera((0, 0, 5), (0, 0, 0)))[0])
    assert image[MIDDLE, MIDDLE].mean() < 0.4 < image[40, MIDDLE].mean()


def test_edges_are_antialiased():
    builder = Builder()
    builder.add("disc", np.zeros(3), (2.0, 2.0, 1.0), WHITE)
    image = photograph(
        _world(builder, above=1.0, color=0.0), _camera((0, 0, 5), (0, 0, 0))
    )
    levels = np.unique(np.round(np.asarray(image[0, ..., 0]) ** 2, 2))
    assert {0.0, 0.25, 0.5, 0.75, 1.0} >= set(levels.tolist())
    assert len(levels) >= 4


def test_far_textures_are_averaged_not_aliased():
    base = BASE
    checker = np.indices((128, 128)).sum(0) % 2 * 255
    image = np.repeat(checker[..., None] / 255.0, 3, axis=-1)
    atlas = np.array(base.matter.atlas)
    atlas[0] = _pyramid(image)
    builder = Builder()
    builder.add(
        "card", np.zeros(3), (90.0, 90.0, 1.0), Material(texture=0, repeats=4.0)
    )
    world = _world(builder, above=1.0, color=0.0, texture=jnp.asarray(atlas))
    seen = np.asarray(photograph(world, _camera((0, 0, 40), (0, 0, 0)))[0])
    assert seen.std() < 0.02
    np.testing.assert_allclose(seen.mean() ** 2, 0.5, atol=0.05)


def test_tiles_join_without_a_seam():
    builder = Builder()
    builder.add("ball", np.zeros(3), (2.5, 2.5, 2.5), WHITE)
    seen = np.asarray(depths(_world(builder), _camera((0, 0, 5), (0, 0, 0)))[0])
    np.testing.assert_allclose(seen, seen[::-1, ::-1], rtol=1e-4)
    inside = seen < 1e8
    assert inside[SIZE // 2 - 8 : SIZE // 2 + 8, SIZE // 2 - 8 : SIZE // 2 + 8].all()


def test_a_highlight_lies_where_the_mirror_sends_the_lamp_to_each_camera():
    lamp, chrome = np.array([8e3, 0.0, 6e3]), Material(texture=0, gloss=1.0)
    builder = Builder()
    builder.add("ball", np.zeros(3), (2.0, 2.0, 2.0), chrome)
    world = _world(builder, lamp=tuple(lamp))
    for eye in (np.array([0.0, 0, 5]), np.array([3.0, 0, 4])):
        camera = _camera(eye, (0, 0, 0))
        image = np.asarray(photograph(world, camera)[0, ..., 0])
        weight = np.where(image > 0.5 * image.max(), image**2, 0)
        y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
        found = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
        # The normal there halves the angle between lamp and eye, as seen from the spot.
        spot = np.array([0.0, 0, 2])
        for _ in range(50):
            way = [(to - spot) / np.linalg.norm(to - spot) for to in (lamp, eye)]
            spot = 2 * sum(way) / np.linalg.norm(sum(way))
        pose, k = np.asarray(camera.camera_from_world[0]), camera.intrinsics[0]
        expected = np.asarray(k) @ (pose[:3, :3] @ spot + pose[:3, 3])
        np.testing.assert_allclose(found, expected[:2] / expected[2], atol=0.7)


def test_a_dull_surface_looks_alike_from_everywhere_and_a_glossy_one_does_not():
    changes = {}
    for gloss in (0.0, 0.5):
        builder = Builder()
        sheet = Material(texture=0, repeats=1.0, gloss=gloss)
        builder.add("card", np.zeros(3), (9.0, 9.0, 1.0), sheet)
        world = _world(builder, lamp=(3e3, 0.0, 4e3), above=0.2)
        eyes = ((0.0, 0, 5), (-3.0, 0, 4))
        seen = [photograph(world, _camera(eye, (0, 0, 0))) for eye in eyes]
        middle = [float(image[0, MIDDLE, MIDDLE, 0]) for image in seen]
        changes[gloss] = abs(middle[1] - middle[0])
    assert changes[0.0] < 1e-3
    assert changes[0.5] > 0.1


def test_rows_tell_which_primitive_a_pixel_sees():
    builder = Builder()
    builder.add("card", np.array([0, 0, -1.0]), (9.0, 9.0, 1.0), WHITE)
    builder.add("ball", np.array([0, 3.0, 0]), (0.5, 0.5, 0.5), WHITE)
    builder.add("ball", np.zeros(3), (1.0, 1.0, 1.0), WHITE)
    world, camera = _world(builder), _camera((0, 0, 5), (0, 0, 0))
    seen = np.asarray(rows(world, camera)[0])
    assert seen[MIDDLE, MIDDLE] == FIRST["ball"] + 1
    assert seen[MIDDLE, 1] == FIRST["card"]
    assert set(np.unique(seen)) == {FIRST["ball"], FIRST["ball"] + 1, FIRST["card"]}


def test_developing_takes_the_root_of_light_times_gain():
    light = jnp.asarray([0.04, 0.25, 0.9, 3.0]).reshape(1, 1, 4, 1) * jnp.ones(3)
    shown = develop(jnp.concatenate([light, light]), jnp.asarray([1.0, 0.5]))
    np.testing.assert_allclose(shown[0, 0, :, 0], [0.2, 0.5, 0.9**0.5, 1.0], rtol=1e-6)
    expected = np.sqrt([0.02, 0.125, 0.45, 1.0])
    np.testing.assert_allclose(shown[1, 0, :, 0], expected, rtol=1e-6)
