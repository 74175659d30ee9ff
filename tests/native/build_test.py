import concurrent.futures
import ctypes
import os
import warnings

import pytest

from aw_jax.native import build

ZEN3 = "x86_64 {'model name': 'AMD EPYC', 'flags': 'sse2 avx avx2 fma bmi1 bmi2'}"


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A folder of a tiny source beside an empty cache; nobody has asked yet."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "tiny.cc").write_text('extern "C" int answer() { return 42; }\n')
    monkeypatch.setenv("AW_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AW_JAX_NO_NATIVE", raising=False)
    build.library.cache_clear()
    yield source
    build.library.cache_clear()


def answer(folder):
    library = build.library(folder)
    assert library is not None
    return library.answer()


def built(folder):
    return sorted((folder.parent / "cache").iterdir())


def test_library_is_built_once_and_found_again(fresh):
    assert answer(fresh) == 42
    (path,) = built(fresh)
    build.library.cache_clear()
    before = path.stat().st_mtime_ns
    assert answer(fresh) == 42
    assert path.stat().st_mtime_ns == before


def test_changed_source_or_header_is_built_anew(fresh, monkeypatch):
    shared = fresh.parent / "shared"
    shared.mkdir()
    monkeypatch.setattr(build, "HEADERS", shared)
    build.library(fresh)
    (fresh / "tiny.cc").write_text('extern "C" int answer() { return 43; }\n')
    build.library.cache_clear()
    assert answer(fresh) == 43
    for header in (fresh / "part.h", shared / "part.h"):
        header.write_text("// new\n")
        build.library.cache_clear()
        build.library(fresh)
    assert len(built(fresh)) == 4


def test_damaged_library_is_built_anew(fresh):
    build.library(fresh)
    (path,) = built(fresh)
    path.unlink()
    path.write_bytes(b"not a library")
    build.library.cache_clear()
    assert answer(fresh) == 42


def test_builders_at_once_leave_one_whole_library(fresh):
    path = fresh.parent / "cache" / "shared.so"
    command = [build.find_compiler(), *build.FLAGS]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: build.compile_to(path, fresh, command), range(4)))
    assert ctypes.CDLL(str(path)).answer() == 42
    assert built(fresh) == [path]


def test_missing_compiler_warns_once_and_turns_native_off(fresh, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.warns(RuntimeWarning, match=r"no C\+\+ compiler found \(no-such"):
        assert build.library(fresh) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert build.library(fresh) is None


def test_failed_build_warns_with_the_first_error(fresh):
    (fresh / "tiny.cc").write_text("#error out of order\n")
    with pytest.warns(RuntimeWarning, match="out of order"):
        assert build.library(fresh) is None
    assert built(fresh) == []


def test_unwritable_cache_warns(fresh, monkeypatch):
    monkeypatch.setenv("AW_JAX_CACHE", os.devnull + "/cache")
    with pytest.warns(RuntimeWarning, match="native kernels are off"):
        assert build.library(fresh) is None


def test_no_native_switches_off_without_a_word(fresh, monkeypatch):
    monkeypatch.setenv("AW_JAX_NO_NATIVE", "1")
    assert build.library(fresh) is None


def test_lane_width_follows_the_instruction_sets():
    assert build.machine_flags(ZEN3)[0] == "-DAW_LANES=8"
    wide = ZEN3.replace("bmi2", "bmi2 avx512f avx512bw avx512dq avx512vl")
    assert build.machine_flags(wide)[0] == "-DAW_LANES=16"
    assert build.machine_flags(ZEN3.replace("avx2", "")) == ("-DAW_LANES=4",)
    assert build.machine_flags("aarch64 {'Features': 'fp asimd'}") == ("-DAW_LANES=4",)
