import pytest

from aw_jax.core.errors import UserError
from aw_jax.data.procedural.seeds import TEST
from aw_jax.dataengine.sources import CapturedScene, ProceduralScene, parse, units


def test_seeds_and_folders_are_scenes(tmp_path):
    first = TEST.start + 5
    found = parse(f"procedural:{first}:3")
    assert found == [ProceduralScene(seed=first + i) for i in range(3)]
    names = [str(tmp_path / name) for name in ("fox", "desk")]
    for name in names:
        (tmp_path / name).mkdir()
    captured = parse(",".join(names))
    assert captured == [CapturedScene(path=n, number=i) for i, n in enumerate(names)]
    assert [scene.number for scene in captured] == [0, 1]


def test_units_are_chunks_in_order():
    found = units(parse(f"procedural:{TEST.start}:5"), 2)
    assert [[scene.number - TEST.start for scene in unit] for unit in found] == [
        [0, 1],
        [2, 3],
        [4],
    ]


@pytest.mark.parametrize(
    "text", ["procedural:x:3", "procedural:1", "procedural:1:0", "procedural:9999999:2"]
)
def test_other_forms_are_refused(text):
    with pytest.raises(UserError, match="--scenes"):
        parse(text)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"there is no .*nowhere"):
        parse(f"{tmp_path},{tmp_path}/nowhere")
