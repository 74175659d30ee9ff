"""A module imports only from a lower layer or from its own package."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "aw_jax"
LAYERS = {
    "core": 0,
    "native": 0,
    "config": 1,
    "runs": 1,
    "images": 1,
    "media": 1,
    "geometry": 1,
    "nn": 1,
    "flow": 1,
    "splat": 2,
    "models": 2,
    "restoration": 3,
    "generation": 3,
    "metrics": 3,
    "data": 4,
    "train": 5,
    "reconstruct": 5,
    "dataengine": 6,
    "evaluate": 7,
    "launch": 8,
}
MODULES = sorted(ROOT.rglob("*.py"))


def package(path):
    return path.relative_to(ROOT).parts[0]


def imported(path):
    """Full names of all modules that `path` imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def breach(path, name):
    if name.split(".")[0] == "torch":
        return f"{path.relative_to(ROOT)} imports torch"
    parts = name.split(".")
    if parts[0] != "aw_jax" or len(parts) < 2 or parts[1] not in LAYERS:
        return None
    own, other = package(path), parts[1]
    if own == other or LAYERS[other] < LAYERS[own]:
        return None
    return f"{path.relative_to(ROOT)} (layer {LAYERS[own]}) imports {name}"


def test_every_package_has_a_layer():
    packages = {p.name for p in ROOT.iterdir() if (p / "__init__.py").exists()}
    assert packages == set(LAYERS)


def test_imports_go_down():
    modules = [path for path in MODULES if len(path.relative_to(ROOT).parts) > 1]
    found = {breach(path, name) for path in modules for name in imported(path)}
    assert sorted(found - {None}) == []


def test_a_breach_is_seen():
    assert breach(ROOT / "core" / "arrays.py", "aw_jax.splat.fit")
    assert breach(ROOT / "splat" / "fit.py", "aw_jax.models.ltx")
    assert breach(ROOT / "splat" / "fit.py", "torch.nn")
    assert breach(ROOT / "splat" / "fit.py", "aw_jax.geometry.cameras") is None


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_short(path):
    limit = 600 if "kernels" in path.parts else 400
    assert len(path.read_text().splitlines()) <= limit


@pytest.mark.parametrize("path", sorted(ROOT.rglob("__init__.py")))
def test_package_files_hold_a_docstring_only(path):
    body = ast.parse(path.read_text()).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)
