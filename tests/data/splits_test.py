"""Splits by protocol, on names alone and on the real captures."""

import dataclasses
import json

import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data.splits import SplitConfig, split
from aw_jax.data.views import Scene, View


@pytest.fixture
def scene(tmp_path):
    """Twenty views 00.png, ..., 19.png of a capture that lists 20.png too."""
    views = tuple(
        View(
            name=f"{index:02d}.png",
            image_path=tmp_path / f"{index:02d}.png",
            camera_from_world=np.eye(4),
            intrinsics=np.eye(3),
            width=4,
            height=3,
        )
        for index in range(20)
    )
    return Scene(path=tmp_path, kind="colmap", views=views, missing=("20.png",))


def numbers(names):
    return [int(name[:2]) for name in names]


def test_all_tests_every_eighth_and_trains_on_the_rest(scene):
    parts = split(scene, SplitConfig())
    assert numbers(parts.test) == [0, 8, 16]
    assert numbers(parts.train) == [i for i in range(20) if i % 8]
    assert parts.protocol == "all"


def test_every_other_view_may_be_tested(scene):
    parts = split(scene, SplitConfig(test_every=2))
    assert numbers(parts.train) == list(range(1, 20, 2))


def test_ratio_counts_all_views_and_spreads_over_the_rest(scene):
    parts = split(scene, SplitConfig(protocol="ratio", ratio=0.25))
    assert numbers(parts.test) == [0, 8, 16]
    # rest = 1..7, 9..15, 17..19; steps 0, 4, 8, 12, 16 of 17
    assert numbers(parts.train) == [1, 5, 10, 14, 19]
    assert parts.protocol == "ratio 0.25"


def test_ratio_takes_two_views_at_least(scene):
    parts = split(scene, SplitConfig(protocol="ratio", ratio=0.01))
    assert numbers(parts.train) == [1, 19]


def test_halves_are_rounded_up(scene):
    parts = split(scene, SplitConfig(protocol="ratio", ratio=0.125))  # 2.5 -> 3
    assert numbers(parts.train) == [1, 10, 19]


def test_views_takes_exactly_so_many(scene):
    for count in (1, 3, 17):
        parts = split(scene, SplitConfig(protocol="views", views=count))
        assert len(set(parts.train)) == count
        assert parts.protocol == f"views {count}"


def test_named_views_are_trained_on_and_no_longer_tested(scene):
    config = SplitConfig(protocol="views", names=("08.png", "03.png"))
    parts = split(scene, config)
    assert numbers(parts.train) == [3, 8]
    assert numbers(parts.test) == [0, 16]


def test_a_file_name_is_enough_where_it_is_unambiguous(scene):
    views = tuple(dataclasses.replace(v, name=f"in/{v.name}") for v in scene.views)
    scene = dataclasses.replace(scene, views=views)
    config = SplitConfig(protocol="views", names=("03.png", "in/04.png"))
    assert split(scene, config).train == ("in/03.png", "in/04.png")


def test_a_named_view_that_is_missing_is_an_error(scene):
    config = SplitConfig(protocol="views", names=("03.png", "77.png"))
    with pytest.raises(UserError, match=r"77\.png"):
        split(scene, config)


def write_ids(scene, train, test, name="train_test_split_3.json"):
    content = {"train_ids": train, "test_ids": test}
    (scene.path / name).write_text(json.dumps(content))
    return str(scene.path / name)


def test_a_split_file_beside_the_photos_wins(scene):
    write_ids(scene, [2, 11, 7], [0, 8])
    parts = split(scene, SplitConfig(protocol="views", views=3))
    assert numbers(parts.train) == [2, 7, 11]
    assert numbers(parts.test) == [0, 8]
    assert parts.protocol == "train_test_split_3.json"
    parts = split(scene, SplitConfig(protocol="views", views=4))
    assert len(parts.train) == 4


def test_a_split_file_may_lie_anywhere(scene):
    file = write_ids(scene, [2, 3], [5], "mine.json")
    parts = split(scene, SplitConfig(protocol="views", file=file))
    assert (numbers(parts.train), numbers(parts.test)) == ([2, 3], [5])


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        ([2, 21], [0], "ids from 0 to 20"),
        ([2, -1], [0], "ids from 0 to 20"),
        ([2, "3"], [0], "ids from 0 to 20"),
        (3, [0], "ids from 0 to 20"),
        ([2, 20], [0], r"20\.png is not on disk"),
        ([2, 3], [3], "in train_ids and in test_ids"),
        ([], [3], "leaves no train view"),
        ([3], [], "leaves no test view"),
    ],
)
def test_a_split_file_that_cannot_be_is_an_error(train, test, expected, scene):
    file = write_ids(scene, train, test, "mine.json")
    with pytest.raises(UserError, match=expected):
        split(scene, SplitConfig(protocol="views", file=file))


@pytest.mark.parametrize("text", ["{", "[]", '{"train_ids": [1]}'])
def test_a_split_file_of_another_form_is_an_error(text, scene):
    (scene.path / "mine.json").write_text(text)
    for name in ("mine.json", "nowhere.json"):
        config = SplitConfig(protocol="views", file=str(scene.path / name))
        with pytest.raises(UserError, match="train_ids"):
            split(scene, config)


def test_more_training_views_than_there_are_is_an_error(scene):
    with pytest.raises(UserError, match="asks for 18 training views, but only 17"):
        split(scene, SplitConfig(protocol="views", views=18))


def test_an_empty_split_is_an_error(scene):
    names = tuple(view.name for view in scene.views)
    with pytest.raises(UserError, match="leaves no test view"):
        split(scene, SplitConfig(protocol="views", names=names))


@pytest.mark.parametrize(
    "fields",
    [
        {"protocol": "views"},
        {"ratio": 0.0},
        {"ratio": float("nan")},
        {"views": 0},
        {"test_every": 1},
    ],
)
def test_numbers_no_protocol_can_mean_are_refused(fields):
    with pytest.raises(UserError, match="split"):
        SplitConfig(**fields)


def test_real_captures_split_as_published(real_scene):
    for name, ratio, train, test in (
        ("fox", 0.05, 3, 7),
        ("fox", 0.1, 5, 7),
        ("fox", 0.15, 8, 7),
        ("desk", 0.1, 3, 4),
    ):
        parts = split(real_scene(name), SplitConfig(protocol="ratio", ratio=ratio))
        assert (len(parts.train), len(parts.test)) == (train, test)
