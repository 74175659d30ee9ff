import json

import pytest

from aw_jax.core import atomic
from aw_jax.core.errors import UserError
from aw_jax.runs.folder import RunFolder


def test_a_run_resumes_in_its_own_folder_only(tmp_path):
    out = tmp_path / "run"
    first = RunFolder(out, {"steps": 3})
    assert not out.exists(), "checking must not touch the disk"
    first.begin()
    again = RunFolder(out, {"steps": 3})
    assert not again.finished
    again.finish({"psnr": float("nan")})
    assert RunFolder(out, {"steps": 3}).finished
    assert json.loads((out / "metrics.json").read_text()) == {"psnr": None}
    with pytest.raises(UserError, match="steps=3, now asked for steps=4"):
        RunFolder(out, {"steps": 4})


def test_processes_may_begin_one_run_at_the_same_time(tmp_path):
    both = [RunFolder(tmp_path / "run", {"steps": 3}) for _ in range(2)]
    both[0].begin()
    (tmp_path / "run" / "versions.json").unlink()  # the first is not done yet
    late = RunFolder(tmp_path / "run", {"steps": 3})
    for folder in (both[1], late):
        folder.begin()
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["config.json", "versions.json"]


def test_the_temporary_file_of_another_beginner_is_no_foreign_content(tmp_path):
    (tmp_path / ".config.17.tmp.json").write_text("{")
    RunFolder(tmp_path, {"steps": 3}).begin()
    assert json.loads((tmp_path / "config.json").read_text()) == {"steps": 3}


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(UserError, match="holds no run"):
        RunFolder(tmp_path, {})
    assert [file.name for file in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    atomic.write_text(path, "old")

    def fail():
        with atomic.replacing(path) as aside:
            aside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
