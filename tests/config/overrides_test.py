import dataclasses
from typing import ClassVar, Literal

import pytest

from aw_jax.config import overrides, recipes, report
from aw_jax.core.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit:
    steps: int = 100
    rate: float = 0.1
    kind: Literal["adc", "mcmc"] = "adc"
    views: tuple[str, ...] = ()
    cap: int | None = None
    open: bool = False

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"Fit.steps must be at least 1, got {self.steps}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    word: ClassVar[str] = "adc"
    gradient: float = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chain:
    cap: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    fit: Fit = dataclasses.field(default_factory=Fit)
    grow: Split | Chain | None = None
    name: str = "x"


def test_overrides_leave_argv_in_both_spellings():
    rest, found = overrides.take(
        ["prog", "--scene=a", "--config.fit.steps=7", "--config.name", "y", "--out=b"]
    )
    assert rest == ["prog", "--scene=a", "--out=b"]
    assert found == {"fit.steps": "7", "name": "y"}


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("steps", "700", 700),
        ("rate", "1e-3", 1e-3),
        ("kind", "mcmc", "mcmc"),
        ("views", "a.jpg,b.jpg", ("a.jpg", "b.jpg")),
        ("cap", "none", None),
        ("cap", "5", 5),
        ("open", "true", True),
    ],
)
def test_text_is_parsed_by_the_declared_type(path, text, value):
    config = overrides.apply(Config(), {f"fit.{path}": text})
    assert getattr(config.fit, path) == value
    assert config.name == "x"


def test_a_typo_names_the_nearest_field():
    with pytest.raises(UserError, match="Did you mean 'steps'"):
        overrides.apply(Config(), {"fit.stepz": "1"})


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("fit.steps", "many"),
        ("fit.steps", "0"),
        ("fit.kind", "sgd"),
        ("fit.open", "perhaps"),
        ("fit", "3"),
        ("name.deeper", "3"),
    ],
)
def test_a_bad_value_is_the_users_error(path, text):
    with pytest.raises(UserError, match=path):
        overrides.apply(Config(), {path: text})


@pytest.mark.parametrize(
    ("texts", "value"),
    [
        ({"grow": "adc"}, Split()),
        ({"grow": "chain", "grow.cap": "7"}, Chain(cap=7)),
        ({"grow": "ADC", "grow.gradient": "2"}, Split(gradient=2.0)),
        ({"grow": "adc", "fit.steps": "3"}, Split()),
    ],
)
def test_a_word_chooses_one_of_several_groups(texts, value):
    config = overrides.apply(Config(), texts)
    assert config.grow == value
    assert overrides.apply(config, {"grow": "none"}).grow is None


def test_a_group_that_is_not_there_or_does_not_exist_says_what_to_choose():
    with pytest.raises(UserError, match="expected adc or chain or none, got 'sgd'"):
        overrides.apply(Config(), {"grow": "sgd"})
    with pytest.raises(UserError, match="grow is none; choose adc or chain before"):
        overrides.apply(Config(), {"grow.cap": "1"})
    with pytest.raises(UserError, match="Chain has no field 'gradient'"):
        overrides.apply(Config(), {"grow": "chain", "grow.gradient": "1"})


def test_a_recipe_is_loaded_and_checked_for_its_kind(tmp_path):
    good = tmp_path / "good.py"
    good.write_text("def get_config():\n    return 3\n")
    assert recipes.load(str(good), int) == 3
    with pytest.raises(UserError, match="expected a recipe for Config"):
        recipes.load(str(good), Config)
    with pytest.raises(UserError, match="no such recipe"):
        recipes.load(str(tmp_path / "none.py"), Config)
    bad = tmp_path / "bad.py"
    bad.write_text("def get_config(:\n")
    with pytest.raises(UserError, match="the recipe fails"):
        recipes.load(str(bad), Config)


def test_a_diff_lists_the_fields_that_part():
    ours = overrides.apply(Config(), {"fit.steps": "7"})
    assert report.diff(ours, Config()) == {"fit.steps": (7, 100)}
