"""What the documents name is there: launchers, recipes, fields, scripts, snippets."""

import importlib
import re
from pathlib import Path

import pytest
from absl import flags

from aw_jax.config import overrides, recipes

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "aw_jax/README.md")),
    *(ROOT / "configs").rglob("*.md"),
    *(ROOT / "third_party").rglob("*.md"),
]
RECIPES = sorted(path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.py"))
LAUNCHERS = sorted(
    path.stem
    for path in (ROOT / "aw_jax" / "launch").glob("[a-z]*.py")
    if path.stem != "app"
)


def preset(name):
    """The default config of a launcher; its flags are taken away again."""
    module = importlib.import_module(f"aw_jax.launch.{name}")
    own = flags.FLAGS.flags_by_module_dict().get(module.__name__, [])
    flags.FLAGS.remove_flag_values({flag.name: flag for flag in own})
    return module.PRESET


PRESETS = {name: preset(name) for name in LAUNCHERS}


def commands(text):
    """(launcher, arguments) of every command with one launcher, lines joined."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return re.findall(r"aw_jax\.launch\.([a-z]+)((?: +--[^\s`]+)*)", joined)


def check(text):
    for name, arguments in commands(text):
        assert name in LAUNCHERS
        config = PRESETS[name]
        given = re.findall(r"--config=(\S+)", arguments)
        if given and "$" not in given[0]:
            config = recipes.load(str(ROOT / given[0]), type(config))
        fields = dict(re.findall(r"--config\.([\w.]+)=(\S+)", arguments))
        overrides.apply(config, fields)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_of_documents_parse(path):
    check(path.read_text())


@pytest.mark.parametrize("path", RECIPES, ids=str)
def test_recipes_say_how_they_are_run(path):
    text = (ROOT / path).read_text()
    assert str(path) in text
    check(text)


def test_every_recipe_is_in_the_catalogue():
    rows = re.findall(
        r"^\| `(\S+\.py)` \| `(\w+)` \|", _read("configs/README.md"), re.M
    )
    assert sorted(f"configs/{name}" for name, _ in rows) == [str(p) for p in RECIPES]
    for name, launcher in rows:
        recipes.load(str(ROOT / "configs" / name), type(PRESETS[launcher]))


def test_every_launcher_is_in_the_readme():
    named = re.findall(r"^\| `(\w+)` \|", _read("README.md"), re.M)
    assert sorted(named) == LAUNCHERS


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_files_named_by_documents_exist(path):
    """Paths in code spans that begin with a folder of the project."""
    tops = "aw_jax|configs|scripts|tests|third_party"
    for found in re.findall(rf"(?<![\w./])((?:{tops})/[\w./-]*)", path.read_text()):
        assert (ROOT / found.rstrip(".")).exists(), found


def test_names_of_the_readme_snippets_import():
    for block in re.findall(r"```python\n(.*?)```", _read("README.md"), re.S):
        for module, names in re.findall(r"^from (\S+) import (.+)$", block, re.M):
            found = importlib.import_module(module)
            assert all(hasattr(found, name.strip()) for name in names.split(","))


def _read(name):
    return (ROOT / name).read_text()
